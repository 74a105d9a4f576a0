"""Logs: merged over replicas, filtered on the server, kept ones of dead runs, download.

Lines are ordered by the engines' time stamps. A page shows the latest lines; with scripts
`log_stream` goes on with those to come.
"""

from __future__ import annotations

import asyncio
import heapq
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from asgiref.sync import async_to_sync
from django.http import HttpRequest, HttpResponse

from orchestrator.operations.log_reader import BrokerDown, Line, LogReader, NodeRefused, NodeSilent
from orchestrator.queries import replicas
from orchestrator.queries.replicas import LogSource
from webui import presenters
from webui.pages import found, page, show, wanted
from webui.views.deployments import find, frame_of

LINES = 500
# How far back a link to a moment is looked for, in lines of all replicas together.
MOST_BACK = 40_000
MOST_REPLICAS = 40
LEVELS = ("warning", "error")
_ERROR = re.compile(r"\b(error|exception|fatal|critical|panic|traceback)\b", re.IGNORECASE)
_WARNING = re.compile(r"\bwarn(ing)?\b", re.IGNORECASE)
_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line as a page shows it; `source` is the replica it is of, `level` "" when plain."""

    source: str
    text: str
    at: datetime | None
    level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What to keep: lines with every term, without those after a minus, of at least a level."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    level: str = ""

    @classmethod
    def read(cls, text: str, level: str) -> Filter:
        """Read the search field: `error -healthz`."""
        terms = [term.lower() for term in text.split()]
        return cls(
            include=tuple(term for term in terms if not term.startswith("-")),
            exclude=tuple(term[1:] for term in terms if term.startswith("-") and len(term) > 1),
            level=level if level in LEVELS else "",
        )

    def keeps(self, line: LogLine) -> bool:
        """Tell whether a line is to be shown; remarks of ours always are."""
        if line.level == "note":
            return True
        text = line.text.lower()
        if self.level and line.level not in LEVELS[LEVELS.index(self.level) :]:
            return False
        has_all = all(term in text for term in self.include)
        return has_all and not any(term in text for term in self.exclude)


@page("replica-logs")
def deployment(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show the log of a deployment's replicas, merged."""
    record = find(namespace, name)
    rows = replicas.select({"namespace": namespace, "deployment": name})[:MOST_REPLICAS]
    chosen = [row.uid for row in rows if row.uid in request.GET.getlist("replica")]
    subject = {"replica": chosen} if chosen else {"namespace": namespace, "deployment": name}
    context = {
        **frame_of("logs", record),
        "choices": rows,
        "subject": urlencode(subject, doseq=True),
        **_shown(request, chosen or [row.uid for row in rows], chosen),
    }
    return _answer(request, "deployment_logs", context, f"{name}.log")


@page("replica-logs")
def replica(request: HttpRequest, uid: str) -> HttpResponse:
    """Show the log of one replica, of this run or of the one before."""
    record = found(replicas.get(uid), f'replica "{uid}" does not exist')
    context = {
        "replica": record,
        "look": presenters.of_replica(record),
        "subject": urlencode({"replica": uid}),
        **_shown(request, [uid], [uid]),
    }
    return _answer(request, "replica_logs", context, f"{uid}.log")


def _answer(
    request: HttpRequest, template: str, context: dict[str, object], name: str
) -> HttpResponse:
    if "download" not in request.GET:
        return show(request, template, context, topics="")
    lines: Sequence[LogLine] = context["lines"]  # type: ignore[assignment]
    text = "".join(f"{stamp(line.at)} {line.source} {line.text}\n" for line in lines)
    answer = HttpResponse(text, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _shown(request: HttpRequest, uids: list[str], chosen: list[str]) -> dict[str, object]:
    query = wanted(request, "q", "level")
    previous = "previous" in request.GET
    moment = _moment(request.GET.get("at", ""))
    wish = Filter.read(query.get("q", ""), query.get("level", ""))
    sources = replicas.log_sources(uids)
    if previous:
        lines = [line for source in sources for line in _kept(source)]
        notes: list[str] = []
    else:
        lines, notes = async_to_sync(_latest)(sources, LINES if moment is None else MOST_BACK)
    kept = _window([line for line in lines if wish.keeps(line)], moment)
    return {
        "lines": kept,
        "notes": notes,
        "q": query.get("q", ""),
        "level": wish.level,
        "previous": previous,
        "moment": moment,
        "around": _around(request),
        "chosen": chosen,
    }


def _around(request: HttpRequest) -> str:
    """Return the begin of a link to a moment: this page's query, up to the moment itself."""
    query = request.GET.copy()
    query.pop("page", None)
    query.pop("at", None)
    text = query.urlencode()
    return f"?{text}&at=" if text else "?at="


def _moment(text: str) -> datetime | None:
    """Read the moment a link names; None when it names none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _window(lines: list[LogLine], moment: datetime | None) -> list[LogLine]:
    """Return the latest lines, or those around a moment."""
    if moment is None:
        return lines[-LINES:]
    at = bisect_left(lines, moment, key=_when)
    return lines[max(0, at - LINES // 2) : at + LINES // 2]


def _kept(source: LogSource) -> list[LogLine]:
    """Return what was kept of a replica's latest death."""
    return [line_of(source.uid, Line(text=text, at=None)) for text in source.kept.splitlines()]


def tail_of(sources: int, most: int = LINES) -> int:
    """Return how many lines to read of each of several logs."""
    return max(20, most // max(1, sources))


async def _latest(sources: Sequence[LogSource], most: int) -> tuple[list[LogLine], list[str]]:
    """Return the latest lines of several replicas in the order of time, and what went wrong."""
    each = tail_of(len(sources), most)
    found = await asyncio.gather(*(_read(source, each) for source in sources))
    lines = heapq.merge(*(lines for lines, _note in found), key=_when)
    return list(lines), [note for _lines, note in found if note]


async def _read(source: LogSource, tail: int) -> tuple[list[LogLine], str]:
    if not source.is_live:
        return _kept(source), ""
    reader = LogReader(source, tail=tail, follow=False)
    try:
        first = await reader.begin()
    except (BrokerDown, NodeRefused, NodeSilent) as error:
        return [], f"{source.uid}: {error}"
    return [line_of(source.uid, line) async for line in reader.lines(first)], ""


def line_of(uid: str, line: Line) -> LogLine:
    """Return a line of a replica's log as a page shows it."""
    text = _ANSI.sub("", line.text)
    at = datetime.fromtimestamp(line.at, tz=UTC) if line.at is not None else None
    level = ""
    if line.is_note:
        level = "note"
    elif _ERROR.search(text):
        level = "error"
    elif _WARNING.search(text):
        level = "warning"
    return LogLine(source=uid, text=text, at=at, level=level)


def _when(line: LogLine) -> datetime:
    return line.at or datetime.min.replace(tzinfo=UTC)


def stamp(at: datetime | None) -> str:
    """Return a moment for machines, "-" when there is none."""
    return at.isoformat(timespec="milliseconds") if at is not None else "-"

"""Follow logs: the latest lines again, then those to come, until the reader leaves.

A page was read a moment before its stream begins, and a lost stream begins anew. So each begins
with the latest lines, and scripts leave out what is shown already: nothing falls in between.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.translation import gettext as _

from orchestrator.operations.access import why_not
from orchestrator.operations.connections import borrowed
from orchestrator.operations.log_reader import BrokerDown, Line, LogReader, NodeRefused, NodeSilent
from orchestrator.queries import replicas, sessions
from orchestrator.queries.replicas import LogSource
from webui.pages import wanted
from webui.views.logs import MOST_REPLICAS, Filter, LogLine, line_of, stamp, tail_of

HEARTBEAT_SECONDS = 10.0
# How soon a replica, or a run of one, that came to be later is followed too.
LOOK_SECONDS = 3.0
# A login or role that has ended ends its streams at the latest after this.
CHECK_SECONDS = 60.0
WAITING = 1000
AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whose logs: these replicas', or else all those a deployment has at each moment."""

    uids: tuple[str, ...]
    namespace: str
    deployment: str

    @classmethod
    def read(cls, request: HttpRequest) -> Subject:
        """Read the address."""
        named = wanted(request, "namespace", "deployment")
        return cls(
            uids=tuple(uid for uid in request.GET.getlist("replica") if "\x00" not in uid),
            namespace=named.get("namespace", ""),
            deployment=named.get("deployment", ""),
        )

    def running(self) -> list[LogSource]:
        """Return where to read the logs of those that run now."""
        uids = self.uids
        if not uids and self.deployment:
            rows = replicas.select({"namespace": self.namespace, "deployment": self.deployment})
            uids = tuple(row.uid for row in rows[:MOST_REPLICAS])
        found = replicas.log_sources(uids[:MOST_REPLICAS])
        return [source for source in found if source.is_live and source.run]


async def stream(request: HttpRequest) -> HttpResponseBase:
    """Send the lines, a JSON object each; empty ones show that the stream lives."""
    key = request.session.session_key or ""
    if refused := await borrowed(_refusal, key):
        return HttpResponse(refused, status=403, content_type="text/plain; charset=utf-8")
    query = wanted(request, "q", "level")
    wish = Filter.read(query.get("q", ""), query.get("level", ""))
    return StreamingHttpResponse(
        _follow(_Follower(Subject.read(request), key), wish),
        content_type="application/x-ndjson",
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )


def _refusal(key: str) -> str:
    return why_not(sessions.user_of(key), "replica-logs", "GET")


async def _follow(follower: _Follower, wish: Filter) -> AsyncIterator[bytes]:
    reading = asyncio.create_task(follower.run())
    try:
        yield b"\n"
        while not reading.done():
            try:
                line = await asyncio.wait_for(follower.inbox.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield b"\n"
                continue
            if line is not None and wish.keeps(line):
                yield _json(line)
        reading.result()
    finally:
        await _end([reading])


class _Follower:
    """Reads several logs into one inbox; a None there means that it has ended."""

    def __init__(self, subject: Subject, key: str) -> None:
        self.inbox: asyncio.Queue[LogLine | None] = asyncio.Queue(WAITING)
        self._subject, self._key = subject, key
        self._readers: dict[str, tuple[str, asyncio.Task[None]]] = {}
        # Those whose node does not answer: asked again at each look, told once.
        self._silent: set[str] = set()

    async def run(self) -> None:
        """Read until a log cannot be read on, or its reader may not read it any more."""
        checked = time.monotonic()
        try:
            while not self._is_broken():
                self._begin(await borrowed(self._subject.running))
                await asyncio.sleep(LOOK_SECONDS)
                if time.monotonic() - checked > CHECK_SECONDS:
                    checked = time.monotonic()
                    if await borrowed(_refusal, self._key):
                        return
        finally:
            await _end([task for _run, task in self._readers.values()])
            if not self.inbox.full():
                self.inbox.put_nowait(None)

    def _begin(self, sources: list[LogSource]) -> None:
        """Read the logs of runs that are not read yet, one run of a replica after the other."""
        for source in sources:
            run, task = self._readers.get(source.uid, ("", None))
            if run != source.run and (task is None or task.done()):
                reading = asyncio.create_task(self._read(source, tail_of(len(sources))))
                self._readers[source.uid] = source.run, reading

    def _is_broken(self) -> bool:
        """Tell whether a log broke off; then all begin anew, without losing a line."""
        try:
            for _run, task in self._readers.values():
                if task.done():
                    task.result()
        except _BrokenOff:
            return True
        return False

    async def _read(self, source: LogSource, tail: int) -> None:
        reader = LogReader(source, tail=tail, follow=True)
        try:
            first = await reader.begin()
        except (BrokerDown, NodeRefused, NodeSilent) as error:
            del self._readers[source.uid]
            if source.uid not in self._silent:
                self._silent.add(source.uid)
                await self._remark(source, str(error))
            return
        self._silent.discard(source.uid)
        async with aclosing(reader.lines(first)) as lines:
            async for line in lines:
                await self.inbox.put(line_of(source.uid, line))
        if reader.is_broken_off:
            raise _BrokenOff
        await self._remark(source, _("this run has ended"))

    async def _remark(self, source: LogSource, text: str) -> None:
        await self.inbox.put(line_of(source.uid, Line(text=text, is_note=True)))


class _BrokenOff(Exception):
    """The broker went away in the middle of a log."""


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """End tasks and wait for what they clean up; they end also if the one who waits goes."""
    await asyncio.shield(_cancel(set(tasks)))


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    # A cancellation that meets an arriving line is lost in `asyncio.wait_for` of Python 3.11.
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=AGAIN_SECONDS)


def _json(line: LogLine) -> bytes:
    told = {"source": line.source, "text": line.text, "at": stamp(line.at), "level": line.level}
    return json.dumps(told, ensure_ascii=False).encode() + b"\n"

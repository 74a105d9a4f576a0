"""What was used over time, as pictures: cpu, memory, replicas and network, each with its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from orchestrator.core.wording import cores, memory
from orchestrator.queries.metrics import Point, Span
from webui.pictures import Picture, drawn

RANGES = {"15m": 900, "1h": 3600, "4h": 14400, "24h": 86400}
USUAL = "1h"
Reading = Callable[[Point], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One picture with its heading; the table behind it has a column for each name."""

    key: str
    title: str
    caption: str
    columns: tuple[str, ...]
    picture: Picture


def span_of(word: str, now: datetime) -> Span:
    """Return the time that is asked for."""
    return Span.latest(now, timedelta(seconds=RANGES.get(word, RANGES[USUAL])))


def charts(points: Sequence[Point], *, with_replicas: bool) -> list[Chart]:
    """Return a picture of everything that was measured."""
    found = [
        _chart(
            points,
            "cpu",
            (_("CPU"), _("used"), _("limit")),
            (lambda p: p.cpu_millis, lambda p: p.cpu_limit_millis),
            cores,
        ),
        _chart(
            points,
            "memory",
            (_("Memory"), _("used"), _("limit")),
            (lambda p: p.memory_bytes, lambda p: p.memory_limit_bytes),
            memory,
        ),
        _chart(
            points,
            "network",
            (_("Network"), _("received a second"), _("sent a second")),
            (lambda p: p.received_per_second, lambda p: p.sent_per_second),
            memory,
        ),
    ]
    if with_replicas:
        words = (_("Replicas"), _("measured"), "")
        found.append(_chart(points, "replicas", words, (lambda p: p.replicas, _nothing), str))
    return [chart for chart in found if chart is not None]


def _nothing(_point: Point) -> None:
    return None


def _chart(
    points: Sequence[Point],
    key: str,
    words: tuple[str, str, str],
    readings: tuple[Reading, Reading],
    said: Callable[[int], str],
) -> Chart | None:
    """Return one picture, or none when nothing of it was measured."""
    title, first, second = words
    one, other = readings
    known = [(point.at, one(point), other(point)) for point in points]
    if not any(value is not None for _at, value, _limit in known):
        return None
    dashed = any(limit is not None for _at, _value, limit in known)
    caption = _("line: %(first)s; dashed: %(second)s (UTC)") if dashed else _("%(first)s (UTC)")
    return Chart(
        key=key,
        title=title,
        caption=caption % {"first": first, "second": second},
        columns=(first, second) if dashed else (first,),
        picture=drawn(
            [(at, value) for at, value, _limit in known],
            [(at, limit) for at, _value, limit in known] if dashed else [],
            said,
        ),
    )

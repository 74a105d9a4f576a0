"""What was used over time, as pictures: cpu, memory, requests, replicas, each with its limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.utils.translation import gettext as _

from orchestrator.core.wording import cores, memory
from orchestrator.queries.metrics import Point, ServicePoint, Span
from webui.pictures import Picture, drawn

RANGES = {"15m": 900, "1h": 3600, "4h": 14400, "24h": 86400}
USUAL = "1h"
Reading = Callable[[Point], int | None]
ServiceReading = Callable[[ServicePoint], int | None]
Said = Callable[[int], str]
MeasuredAt = TypeVar("MeasuredAt", Point, ServicePoint)


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
    found.append(
        _chart(
            points,
            "requests",
            (_("Requests"), _("a second"), _("under way")),
            (lambda p: p.requests_per_second_millis, lambda p: p.requests_in_flight_millis),
            thousandths,
        )
    )
    if with_replicas:
        words = (_("Replicas"), _("measured"), "")
        found.append(_chart(points, "replicas", words, (lambda p: p.replicas, _nothing), str))
    return [chart for chart in found if chart is not None]


def service_charts(points: Sequence[ServicePoint]) -> list[Chart]:
    """Return pictures of the requests for a service; none where there were none."""
    rows: list[tuple[str, tuple[str, str, str], tuple[ServiceReading, ServiceReading], Said]] = [
        (
            "requests",
            (_("Requests"), _("a second"), _("failed")),
            (lambda p: p.per_second_millis, lambda p: p.failed),
            thousandths,
        ),
        (
            "times",
            (_("Time of answering"), _("of half of them"), _("of 99 in a hundred")),
            (lambda p: _whole(p.p50), lambda p: _whole(p.p99)),
            _("{} ms").format,
        ),
    ]
    found = (
        [_chart(points, *row) for row in rows] if any(p.per_second_millis for p in points) else []
    )
    return [chart for chart in found if chart is not None]


def figures_of(point: ServicePoint) -> dict[str, str]:
    """Return the latest figures of a service as words."""
    times = point.p99
    return {
        "per_second": thousandths(point.per_second_millis),
        "failed": thousandths(point.failed),
        "in_flight": thousandths(point.in_flight_millis),
        "slowest": "–" if times is None else _("{} ms").format(round(times)),
    }


def thousandths(value: int) -> str:
    """Return a number given in thousandths, with no more digits than say something."""
    return f"{value / 1000:.3g}" if value < 1_000_000 else f"{value // 1000:,}"


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _nothing(_point: Point) -> None:
    return None


def _chart(
    points: Sequence[MeasuredAt],
    key: str,
    words: tuple[str, str, str],
    readings: tuple[Callable[[MeasuredAt], int | None], Callable[[MeasuredAt], int | None]],
    said: Said,
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

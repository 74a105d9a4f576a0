"""Pictures over time as data for server-rendered SVG, each with the table behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from orchestrator.queries import history

WIDTH, HEIGHT = 600, 140
LEFT, BOTTOM, TOP = 30, 20, 8
POINTS = 60
MOST_ROWS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar: its place in the picture and what it says."""

    x: float
    y: float
    width: float
    height: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A chart: lines and bars in a box of 600 × 140, and the rows of the table behind it."""

    line: str = ""
    area: str = ""
    wanted: str = ""
    bars: tuple[Bar, ...] = ()
    top: int | str
    first: datetime
    last: datetime
    rows: tuple[tuple[datetime, tuple[int | str, ...]], ...]
    width: int = WIDTH
    height: int = HEIGHT


def replicas_over_time(namespace: str, name: str, desired: int) -> Picture:
    """Return how many replicas of a deployment ran in the last hour."""
    now = timezone.now()
    moments = [now - timedelta(hours=1) * (1 - index / (POINTS - 1)) for index in range(POINTS)]
    counts = history.running(namespace, name, moments)
    top = max(*counts, desired, 1)
    points = [_point(index / (POINTS - 1), value / top) for index, value in enumerate(counts)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    floor = HEIGHT - BOTTOM
    level = _point(0, desired / top)[1]
    return Picture(
        line=line,
        area=f"{LEFT},{floor} {line} {WIDTH},{floor}",
        wanted=f"{LEFT},{level:.1f} {WIDTH},{level:.1f}",
        top=top,
        first=moments[0],
        last=moments[-1],
        rows=tuple((at, (count,)) for at, count in list(zip(moments, counts, strict=True))[::6]),
    )


def activity() -> Picture:
    """Return restarts and changes of the last day, hour by hour."""
    hours = history.hours(timezone.now())
    top = max(1, *(max(hour.restarts, hour.rollouts) for hour in hours))
    return Picture(
        bars=tuple(_bars(hours, top)),
        top=top,
        first=hours[0].begin,
        last=hours[-1].begin,
        rows=tuple((hour.begin, (hour.restarts, hour.rollouts)) for hour in hours),
    )


Series = Sequence[tuple[datetime, int | None]]


def drawn(line: Series, dashed: Series, said: Callable[[int], str]) -> Picture:
    """Return one or two lines over the same moments; `said` puts a value in words.

    Where nothing is known the line goes straight to what is known next.
    """
    first, last = line[0][0], line[-1][0]
    top = max([1, *(value for _at, value in [*line, *dashed] if value is not None)])

    def points(series: Series) -> str:
        seconds = max(1.0, (last - first).total_seconds())
        places = (
            _point((at - first).total_seconds() / seconds, value / top)
            for at, value in series
            if value is not None
        )
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)

    path, floor = points(line), HEIGHT - BOTTOM
    begin, end = (path.split(" ")[index].split(",")[0] for index in (0, -1))
    beside = dict(dashed)
    every = max(1, len(line) // MOST_ROWS)
    return Picture(
        line=path,
        area=f"{begin},{floor} {path} {end},{floor}",
        wanted=points(dashed),
        top=said(top),
        first=first,
        last=last,
        rows=tuple(
            (at, tuple(_said(said, v) for v in ((value, beside[at]) if beside else (value,))))
            for at, value in line[::every]
        ),
    )


def _said(said: Callable[[int], str], value: int | None) -> str:
    return "–" if value is None else said(value)


def _bars(hours: Sequence[history.Hour], top: int) -> list[Bar]:
    step = (WIDTH - LEFT) / len(hours)
    return [
        Bar(
            x=round(LEFT + index * step + shift * step / 2 + 1, 1),
            y=round(_point(0, value / top)[1], 1),
            width=round(step / 2 - 2, 1),
            height=round(value / top * (HEIGHT - BOTTOM - TOP), 1),
            kind=kind,
        )
        for index, hour in enumerate(hours)
        for shift, kind, value in ((0, "restarts", hour.restarts), (1, "rollouts", hour.rollouts))
        if value
    ]


def _point(across: float, up: float) -> tuple[float, float]:
    return LEFT + across * (WIDTH - LEFT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)

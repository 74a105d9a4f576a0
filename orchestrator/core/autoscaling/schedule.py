"""Times with bounds of their own: cron lines in a time zone, each open for a while.

One window is written `30 7 * * MON-FRI for 10h in Europe/Berlin min 4 max 20`. The clock is that of
the zone: a begin that a change of the clock leaves out counts at the hour that follows, one that
comes twice counts the first time. Of several open windows a later line wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from orchestrator.core.spec import MAX_REPLICAS

LONGEST = timedelta(days=7)
_DAYS = {name: i for i, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"])}
_MONTHS = {
    **{name: i for i, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN"], start=1)},
    **{name: i for i, name in enumerate(["JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], start=7)},
}
_Field = tuple[str, int, int, dict[str, int]]
_FIELDS: tuple[_Field, ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_LINE = re.compile(
    r"(?P<cron>\S+ \S+ \S+ \S+ \S+) for (?P<number>[0-9]{1,5})(?P<unit>[mhd])"
    r"(?: in (?P<zone>\S+))?(?: min (?P<least>[0-9]{1,5}))?(?: max (?P<most>[0-9]{1,5}))?"
)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
EXAMPLE = "30 7 * * MON-FRI for 10h in Europe/Berlin min 4 max 20"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Bounds for a while; those that are None stay the policy's. `text` is how it was written."""

    text: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    # In cron a day fits when either does, if both are restricted.
    either_day: bool
    length: timedelta
    zone: str = "UTC"
    minimum: int | None = None
    maximum: int | None = None

    def is_open(self, now: datetime) -> bool:
        """Tell whether the window is open at an instant."""
        zone = ZoneInfo(self.zone)
        last = now.astimezone(zone).date()
        first = (now - self.length).astimezone(zone).date()
        days = (first + timedelta(days=i) for i in range((last - first).days + 1))
        return any(
            begin <= now < begin + self.length for day in days for begin in self._begins(day, zone)
        )

    def _begins(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        if not self._is_on(day):
            return
        for hour in self.hours:
            for minute in self.minutes:
                local = datetime.combine(day, time(hour, minute), tzinfo=zone)
                yield local.astimezone(UTC)

    def _is_on(self, day: date) -> bool:
        weekday = day.isoweekday() % 7
        if day.month not in self.months:
            return False
        fits = (day.day in self.days, weekday in self.weekdays)
        return any(fits) if self.either_day else all(fits)


def parse(line: str) -> Window:
    """Read one line.

    Raises:
        ValueError: it is none; the sentence says what is wrong.
    """
    text = " ".join(line.split())
    found = _LINE.fullmatch(text)
    if found is None:
        raise ValueError(f"is no window; write one as: {EXAMPLE}")
    words = found["cron"].split()
    sets = [_values(word, *field) for word, field in zip(words, _FIELDS, strict=True)]
    length = int(found["number"]) * _UNITS[found["unit"]]
    if not timedelta() < length <= LONGEST:
        raise ValueError(f"is open for {found['number']}{found['unit']}; 1m to 7d are possible")
    zone = found["zone"] or "UTC"
    _check_zone(zone)
    least, most = (int(found[name]) if found[name] else None for name in ("least", "most"))
    _check_bounds(least, most)
    return Window(
        text=text,
        minutes=sets[0],
        hours=sets[1],
        days=sets[2],
        months=sets[3],
        weekdays=frozenset(day % 7 for day in sets[4]),
        either_day=not words[2].startswith("*") and not words[4].startswith("*"),
        length=length,
        zone=zone,
        minimum=least,
        maximum=most,
    )


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f'names the time zone "{name[:40]}", which is not known here; '
            "use one such as Europe/Berlin"
        ) from None


def _check_bounds(least: int | None, most: int | None) -> None:
    if least is None and most is None:
        raise ValueError("changes neither min nor max")
    if not (least or 0) <= (most or MAX_REPLICAS) <= MAX_REPLICAS or most == 0:
        raise ValueError(f"has bounds nothing fits: 0 ≤ min ≤ max ≤ {MAX_REPLICAS}, max above 0")


def _values(word: str, name: str, least: int, most: int, names: dict[str, int]) -> frozenset[int]:
    found: set[int] = set()
    for part in word.split(","):
        span, slash, step = part.partition("/")
        low, dash, high = span.partition("-")
        every = int(step) if step.isdecimal() and len(step) < 4 else 0
        first = least if span == "*" else _value(low, names)
        last = most if span == "*" or (slash and not dash) else _value(high or low, names)
        if (slash and every < 1) or not least <= first <= last <= most:
            raise ValueError(f'has "{part[:20]}" for the {name}; use {least} to {most}')
        found.update(range(first, last + 1, every or 1))
    return frozenset(found)


def _value(word: str, names: dict[str, int]) -> int:
    if word.isascii() and word.isdecimal() and len(word) < 4:
        return int(word)
    return names.get(word.upper(), -1)

"""Windows of a schedule: cron in a time zone, clocks that change, and what is no window."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from orchestrator.core.autoscaling import schedule
from orchestrator.core.autoscaling.evaluation import bounds_at
from tests.loads import a_policy

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str, zone=UTC) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("line", "moment", "is_open"),
    [
        pytest.param("0 8 * * * for 2h min 4", at("2026-03-02T08:00"), True, id="from-its-begin"),
        pytest.param("0 8 * * * for 2h min 4", at("2026-03-02T09:59"), True, id="to-its-end"),
        pytest.param("0 8 * * * for 2h min 4", at("2026-03-02T10:00"), False, id="not-longer"),
        pytest.param("0 23 * * * for 2h min 4", at("2026-03-02T00:30"), True, id="over-midnight"),
        pytest.param("0 8 * * MON-FRI for 1h min 4", at("2026-03-01T08:30"), False, id="sunday"),
        pytest.param("0 8 * * 7 for 1h min 4", at("2026-03-01T08:30"), True, id="seven-is-sunday"),
        pytest.param("0 0 * * FRI for 3d min 4", at("2026-03-01T23:00"), True, id="a-weekend"),
        pytest.param("*/15 * * * * for 5m max 4", at("2026-03-01T12:34"), True, id="steps"),
        pytest.param("*/15 * * * * for 5m max 4", at("2026-03-01T12:36"), False, id="between"),
        pytest.param("0 0 1 * MON for 1d min 4", at("2026-03-02T05:00"), True, id="either-day"),
        pytest.param("0 0 24 DEC * for 3d min 4", at("2026-12-26T05:00"), True, id="christmas"),
        pytest.param(
            "0 8 * * * for 1h in Europe/Berlin min 4", at("2026-07-01T06:30"), True, id="summer"
        ),
        pytest.param(
            "0 8 * * * for 1h in Europe/Berlin min 4", at("2026-01-05T07:30"), True, id="winter"
        ),
        pytest.param(
            "30 2 * * * for 1h in Europe/Berlin min 4",
            at("2026-03-29T03:45", BERLIN),
            True,
            id="an-hour-that-is-left-out",
        ),
        pytest.param(
            "30 2 * * * for 20m in Europe/Berlin min 4",
            at("2026-10-25T01:35"),
            False,
            id="an-hour-that-comes-twice-counts-once",
        ),
    ],
)
def test_a_window_is_open_when_its_clock_says_so(line, moment, is_open):
    assert schedule.parse(line).is_open(moment) is is_open


def test_open_windows_change_the_bounds_in_their_order():
    lines = ("0 8 * * * for 10h min 4 max 8", "0 9 * * * for 1h max 20", "0 0 * * * for 1h max 1")
    policy = a_policy(minimum=2, maximum=6, schedule=tuple(map(schedule.parse, lines)))

    early, rush, night = (bounds_at(policy, at(f"2026-03-02T{h}:30")) for h in ("08", "09", "21"))

    assert (early.minimum, early.maximum, early.windows) == (4, 8, lines[:1])
    assert (rush.minimum, rush.maximum) == (4, 20)
    assert (night.minimum, night.maximum, night.windows) == (2, 6, ())


def test_where_bounds_cross_the_minimum_counts():
    policy = a_policy(minimum=5, maximum=9, schedule=(schedule.parse("0 0 * * * for 1d max 2"),))

    assert bounds_at(policy, at("2026-03-02T05:00")).maximum == 5


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("at noon", "is no window; write one as: 30 7 * * MON-FRI for 10h"),
        ("0 8 * * * for 10h", "changes neither min nor max"),
        ("0 25 * * * for 1h min 4", 'has "25" for the hour; use 0 to 23'),
        ("0 8 * * FOO for 1h min 4", 'has "FOO" for the day of the week'),
        ("*/0 8 * * * for 1h min 4", 'has "*/0" for the minute'),
        ("0 8 * * * for 8d min 4", "is open for 8d; 1m to 7d are possible"),
        ("0 8 * * * for 1h in Mars/Base min 4", 'names the time zone "Mars/Base"'),
        ("0 8 * * * for 1h min 9 max 4", "has bounds nothing fits"),
        ("0 8 * * * for 1h max 0", "has bounds nothing fits"),
    ],
)
def test_what_is_no_window_says_why(line, told):
    with pytest.raises(ValueError, match=re.escape(told)):
        schedule.parse(line)

"""Which lines of a log are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from webui.views.logs import LINES, Filter, LogLine, _moment, _window

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def line(text: str = "x", level: str = "", at: datetime | None = NOON) -> LogLine:
    return LogLine(source="a1", text=text, at=at, level=level)


@pytest.mark.parametrize(
    ("words", "text", "is_kept"),
    [
        ("", "anything", True),
        ("error", "An ERROR here", True),
        ("error disk", "error: disk full", True),
        ("error disk", "error: no network", False),
        ("get -healthz", "GET /healthz", False),
        ("-", "a - b", True),
    ],
)
def test_words_are_all_wanted_and_those_after_a_minus_are_not(
    words: str, text: str, is_kept: bool
) -> None:
    assert Filter.read(words, "").keeps(line(text)) is is_kept


@pytest.mark.parametrize(
    ("wanted", "level", "is_kept"),
    [
        ("error", "error", True),
        ("error", "warning", False),
        ("warning", "error", True),
        ("warning", "", False),
        ("nonsense", "", True),
        ("error", "note", True),
    ],
)
def test_a_severity_is_a_lowest_one(wanted: str, level: str, is_kept: bool) -> None:
    assert Filter.read("", wanted).keeps(line(level=level)) is is_kept


def test_a_link_to_a_moment_shows_what_was_around_it() -> None:
    lines = [line(str(n), at=NOON + timedelta(seconds=n)) for n in range(2000)]

    found = _window(lines, NOON + timedelta(seconds=1000))

    assert len(found) == LINES
    assert found[LINES // 2].text == "1000"
    assert _window(lines, None)[-1].text == "1999"


@pytest.mark.parametrize("text", ["", "yesterday", "99999-01-01", "\x00"])
def test_a_moment_that_is_none_is_no_moment(text: str) -> None:
    assert _moment(text) is None


def test_a_moment_without_a_zone_is_in_utc() -> None:
    assert _moment("2026-11-23T12:00:00") == NOON

"""Logs of sandboxes: plain files that are cut, tailed and followed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from worker.runtimes.sandbox import logs


def read(path: Path, tail: int | None = None) -> list[str]:
    found = logs.read(path, tail=tail, follow=False, stop=threading.Event(), has_ended=lambda: True)
    return [line.text for line in found]


@pytest.mark.parametrize("tail", [0, 1, 2, 3, 7, 4999, 5000, 5001, None])
@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_tail_is_the_last_lines(tmp_path: Path, tail: int | None, ending: str):
    lines = [f"line {number} {'x' * (number % 50)}" for number in range(5000)]
    path = tmp_path / "log"
    path.write_text("\n".join(lines) + ending)

    expected = lines if tail is None else lines[len(lines) - tail :] if tail < 5000 else lines

    assert read(path, tail) == expected


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path):
    assert read(tmp_path / "log") == []


def test_cutting_keeps_the_latest_and_bounds_the_rest(tmp_path: Path):
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(b"%d\n" % number * 10)
            logs.rotate(path, max_bytes=20)

        writer.write(b"after\n")

    assert path.read_text() == "after\n"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert read(path) == ["3"] * 10 + ["4"] * 10 + ["after"]


def test_a_log_below_the_limit_is_left_alone(tmp_path: Path):
    path = tmp_path / "log"
    path.write_text("short\n")

    logs.rotate(path, max_bytes=20)

    assert path.read_text() == "short\n"
    assert [found.name for found in tmp_path.iterdir()] == ["log"]


def test_a_tail_reaches_back_over_the_cut(tmp_path: Path):
    path = tmp_path / "log"
    path.write_text("one\ntwo\nthree\n")
    logs.rotate(path, max_bytes=1)
    path.write_text("four\n")

    assert read(path, 3) == ["two", "three", "four"]


def test_following_sees_new_lines_and_ends_with_the_writer(tmp_path: Path):
    path = tmp_path / "log"
    path.write_text("one\n")
    ended = threading.Event()
    found = logs.read(path, tail=None, follow=True, stop=threading.Event(), has_ended=ended.is_set)
    first = next(found).text
    with path.open("a") as writer:
        writer.write("two\nthree")
    ended.set()

    assert [first, *(line.text for line in found)] == ["one", "two", "three"]


def test_following_loses_nothing_when_the_log_is_cut(tmp_path: Path):
    path = tmp_path / "log"
    path.write_text("one\n")
    ended = threading.Event()
    found = logs.read(path, tail=None, follow=True, stop=threading.Event(), has_ended=ended.is_set)
    first = next(found).text
    with path.open("a") as writer:
        writer.write("two\n")
        writer.flush()
        logs.rotate(path, max_bytes=1)
        writer.write("3\n")
    ended.set()

    assert [first, *(line.text for line in found)] == ["one", "two", "3"]

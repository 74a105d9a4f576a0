"""Logs as plain files that the sandboxed process writes to itself, cut when they grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from worker.runtimes.base import LogLine

MAX_BYTES = 10 * 1024 * 1024
KEPT = 2
FOLLOW_SECONDS = 0.1


def rotate(path: Path) -> None:
    """Copy a log that has grown too large aside and cut it; its writer appends and goes on."""
    if not path.exists() or path.stat().st_size < MAX_BYTES:
        return
    for number in range(KEPT, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number}"))
    with path.open("rb+") as file:
        path.with_name(f"{path.name}.1").write_bytes(file.read())
        file.truncate(0)


def read(
    path: Path, *, tail: int | None, follow: bool, stop: threading.Event, has_ended: threading.Event
) -> Iterator[LogLine]:
    """Yield the latest lines; with `follow`, until `stop` or `has_ended` and nothing is left."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        lines = file.read().split(b"\n")
        rest = lines.pop()
        shown = lines if tail is None else lines[max(0, len(lines) - tail) :] if tail else []
        for line in shown:
            yield _line(line)
        while follow and not stop.is_set():
            ended = has_ended.is_set()
            if path.exists() and path.stat().st_size < file.tell():
                file.seek(0)
            *lines, rest = (rest + file.read()).split(b"\n")
            for line in lines:
                yield _line(line)
            if ended:
                break
            stop.wait(FOLLOW_SECONDS)
        if rest:
            yield _line(rest)


def _line(raw: bytes) -> LogLine:
    return LogLine(text=raw.decode(errors="replace").rstrip("\r"))

"""Logs as plain files that the sandboxed process writes to itself, cut when they grow."""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from worker.runtimes.base import LogLine

MAX_BYTES = 10 * 1024 * 1024
KEPT = 2
FOLLOW_SECONDS = 0.1
BLOCK_BYTES = 64 * 1024


def rotate(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Copy a log that has grown too large aside and cut it; its writer appends and goes on."""
    try:
        if path.stat().st_size < max_bytes:
            return
        file = path.open("rb+")
    except FileNotFoundError:
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        # Somebody else may have cut it since the first look.
        if os.fstat(file.fileno()).st_size >= max_bytes:
            _shift(path)
            with _older(path, 1).open("wb") as copy:
                shutil.copyfileobj(file, copy, BLOCK_BYTES)
                file.truncate(0)


def read(
    path: Path,
    *,
    tail: int | None,
    follow: bool,
    stop: threading.Event,
    has_ended: Callable[[], bool],
) -> Iterator[LogLine]:
    """Yield the latest lines; with `follow`, until `stop` or `has_ended` and nothing is left."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        cut = _Cutter()
        if tail is None:
            for number in range(KEPT, 0, -1):
                yield from cut.lines(_content(_older(path, number)))
        else:
            file.seek(_start_of_tail(file, tail))
            yield from _missing_from(path, file, tail)
        yield from cut.lines(_blocks(file))
        while follow and not stop.is_set():
            ended = has_ended()
            yield from cut.lines(_news(path, file))
            if ended:
                break
            stop.wait(FOLLOW_SECONDS)
        yield from cut.rest()


class _Cutter:
    """Cuts a stream of blocks into lines; keeps the last one until its end has come."""

    def __init__(self) -> None:
        self._rest = b""

    def lines(self, blocks: Iterator[bytes]) -> Iterator[LogLine]:
        for block in blocks:
            *lines, self._rest = (self._rest + block).split(b"\n")
            for line in lines:
                yield _line(line)

    def rest(self) -> Iterator[LogLine]:
        if self._rest:
            yield _line(self._rest)


def _shift(path: Path) -> None:
    for number in range(KEPT, 1, -1):
        newer = _older(path, number - 1)
        if newer.exists():
            newer.rename(_older(path, number))


def _older(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _start_of_tail(file: BinaryIO, tail: int) -> int:
    """Return where the last so many lines begin, reading backwards no further than needed."""
    position = file.seek(0, os.SEEK_END)
    if tail == 0:
        return position
    is_last = True
    while position > 0:
        size = min(BLOCK_BYTES, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        if is_last and block.endswith(b"\n"):
            tail += 1
        is_last = False
        count = block.count(b"\n")
        if count >= tail:
            return position + _nth_newline(block, count - tail) + 1
        tail -= count
    return 0


def _nth_newline(block: bytes, number: int) -> int:
    found = -1
    for _ in range(number + 1):
        found = block.index(b"\n", found + 1)
    return found


def _missing_from(path: Path, file: BinaryIO, tail: int) -> Iterator[LogLine]:
    """Yield what the latest file is short of, from the one before it; `file` stays in place."""
    start = file.tell()
    if start > 0 or tail == 0:
        return
    have = sum(block.count(b"\n") for block in _blocks(file))
    file.seek(start)
    if have < tail:
        older = _Cutter()
        lines = chain(older.lines(_content(_older(path, 1))), older.rest())
        yield from deque(lines, maxlen=tail - have)


def _news(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Yield what was written since; when the log was cut, first what only the copy has."""
    position = file.tell()
    if os.fstat(file.fileno()).st_size < position:
        yield from _content(_older(path, 1), position)
        file.seek(0)
    yield from _blocks(file)


def _content(path: Path, start: int = 0) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        file.seek(start)
        yield from _blocks(file)


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _line(raw: bytes) -> LogLine:
    return LogLine(text=raw.decode(errors="replace").rstrip("\r"))

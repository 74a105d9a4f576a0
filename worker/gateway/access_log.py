"""Read what the HTTP gateway has answered from its access log: each look what is new since then.

Caddy writes the file and turns it over by its size. It waits for no reader, so a node worker that
hangs or is away holds up no request; what it did not read in time is not counted.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

logger = logging.getLogger(__name__)

# Extra fields of a line: which route it was, who answered it, and what the gateway itself had to
# answer in place of a replica (`http_config` has them written).
ROUTE, END, FAILED = "route", "end", "failed"
# What clients write stands in a line before this.
_OWN_PART = b'"bytes_read":'
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One request: its route, who answered it (`host:port`, empty for nobody), and how."""

    route: str
    end: str
    status: int
    seconds: float
    failed: bool


class AccessLog:
    """The end of one file; it begins where the file ends when this is made."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""
        self._open(at_end=True)

    def read(self) -> Iterator[Answered]:
        """Yield what was answered since the last look."""
        yield from self._lines()
        if self._was_turned_over() and self._open(at_end=False):
            yield from self._lines()

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, *, at_end: bool) -> bool:
        try:
            found = self._path.open("rb")
        except FileNotFoundError:
            return False
        if at_end:
            found.seek(0, 2)
        self.close()
        self._file, self._rest = found, b""
        return True

    def _was_turned_over(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return self._file is None or not os.path.samestat(now, os.fstat(self._file.fileno()))

    def _lines(self) -> Iterator[Answered]:
        while self._file is not None and (chunk := self._file.read(_CHUNK)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                if (entry := answered(line)) is not None:
                    yield entry


def answered(line: bytes) -> Answered | None:
    """Return what a line says; None when it is of no route, or no line of an access log."""
    begin = line.rfind(_OWN_PART)
    if begin < 0:
        return None
    try:
        known = json.loads(b"{" + line[begin:])
        if ROUTE not in known:
            return None
        return Answered(
            route=str(known[ROUTE]),
            end=str(known.get(END) or ""),
            status=int(known["status"]),
            seconds=float(known["duration"]),
            failed=FAILED in known,
        )
    except (ValueError, KeyError, TypeError):
        logger.debug("A line of the access log cannot be read: %r", line[:200])
        return None

"""Writes what people see on the terminal: plain sentences, one per line, flushed at once."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LaunchError(Exception):
    """A command that cannot go on; its text is the one sentence a person reads."""


def say(line: str = "") -> None:
    """Write one line to the terminal now, also when output is a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def complain(line: str) -> None:
    """Write one line to standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@contextmanager
def phase(title: str) -> Iterator[None]:
    """Announce a slow step and tell how long it took once it succeeded."""
    say(f"{title} …")
    began = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - began:.1f} s")

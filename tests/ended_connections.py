"""Connections that have ended and whose ports the kernel still keeps (TIME_WAIT)."""

from __future__ import annotations

from pathlib import Path

from tests.sandboxes import wait_for


def await_none_at(port: int) -> None:
    """Return once no connection to or from a port is kept any more; they would be for a minute."""
    wait_for(lambda: _kept(port) == 0, seconds=10)


def _kept(port: int) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f":{port:04X}"
    return sum(row[3] == "06" and (row[1] + row[2]).count(ends) > 0 for row in rows)

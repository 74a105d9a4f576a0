"""What the whole machine uses, from /proc."""

from __future__ import annotations

import os
from pathlib import Path

from worker.runtimes.usage import Usage, network_bytes

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)
_GUEST = 8


def read(proc: Path = Path("/proc")) -> Usage:
    """Return the machine's counters: cpu that was not idle, and memory that is not available.

    Raises:
        OSError: there is no /proc.
    """
    fields = [int(word) for word in (proc / "stat").read_text().split("\n", 1)[0].split()[1:]]
    # Time of guests is counted as the host's already.
    busy = sum(v for i, v in enumerate(fields[:_GUEST]) if i not in _IDLE)
    memory = _kilobytes((proc / "meminfo").read_text())
    received, sent = network_bytes(proc / "net" / "dev")
    return Usage(
        run="",
        cpu_nanoseconds=busy * _TICK,
        memory_bytes=(memory["MemTotal"] - memory["MemAvailable"]) * 1024,
        received_bytes=received,
        sent_bytes=sent,
    )


def _kilobytes(text: str) -> dict[str, int]:
    lines = (line.partition(":") for line in text.splitlines()[:5])
    return {name: int(rest.split()[0]) for name, _, rest in lines}

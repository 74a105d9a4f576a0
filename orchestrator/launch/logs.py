"""Keeps log files of children small and finds the line that tells why one of them died."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT_BYTES = 10 * 1024 * 1024
TAIL_BYTES = 8192


def rotate(path: Path, *, limit_bytes: int = LIMIT_BYTES) -> bool:
    """Move the content of a log that has grown too big to `<name>.1`; tell whether it was done.

    The file itself stays (copied, then cut to nothing), because a running child holds it open.
    What the child writes in the moment between the two is lost; a log may lose a line, not a
    restart.
    """
    if not path.exists() or path.stat().st_size <= limit_bytes:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def latest_line(path: Path) -> str:
    """Return the last line with any content in a log, shortened; empty when there is none."""
    lines = [line for line in tail(path, 20) if line.strip()]
    return lines[-1].strip()[:200] if lines else ""


def tail(path: Path, count: int) -> list[str]:
    """Return the last lines of a log, without reading the whole of it."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-count:]

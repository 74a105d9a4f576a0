"""Who works on a state folder now: lock files whose holder the kernel forgets when it dies.

No lock can be stale, however its holder ended. The file tells the holder's pid; it is signalled
only while the lock is held, so that no foreign process is ever hit.
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path
from typing import IO

from orchestrator.launch.environment import Unready


class OnlyOne:
    """Hold a lock for as long as the block runs.

    Raises:
        Unready: another process holds it (the sentence names the process and ends in `advice`), or
            the state folder cannot be written.
    """

    def __init__(self, home: Path, what: str, advice: str) -> None:
        self._path = home / "run" / f"{what}.lock"
        self._what, self._advice = what, advice
        self._file: IO[str] | None = None

    def __enter__(self) -> None:
        try:
            self._file = self._path.open("a+")
        except OSError as error:
            raise unwritable(self._path.parents[1], error) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise Unready(
                f"`{self._what}` runs already on this state folder "
                f"(process {self._path.read_text().strip()}); {self._advice}"
            ) from None
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def unwritable(home: Path, error: OSError) -> Unready:
    """Return what to say when the state folder cannot be written."""
    return Unready(
        f"the state folder {home} cannot be written ({error.strerror}: {error.filename}); make "
        "room on its disk or make it writable, or name another one with KIJABI_HOME"
    )


def only_node(home: Path, name: str) -> OnlyOne:
    """Keep a second worker off a node's queue and files, whichever command starts it."""
    return OnlyOne(home, f"node-{name}", "give the second one another name")


def found(home: Path) -> list[Path]:
    """Return the lock files of a state folder, `up` before the nodes that it may hold, too."""
    return sorted((home / "run").glob("*.lock"), key=lambda path: (path.stem != "up", path))


def holder(lock: Path) -> int | None:
    """Return the pid of the process that holds a lock file, None when nobody does."""
    with lock.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(file.read().strip() or "0") or None
    return None


def end_holder(lock: Path, pid: int) -> None:
    """Ask the holder to end and wait until it has let go."""
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

"""The state folder of one Kijabi on one machine (`KIJABI_HOME`) and who works on it right now.

A lock is a flock on a file: the kernel lets go of it when its holder dies, however it dies, so
no stale lock can ever stand in the way. The pid beside it is only told to people and only
signalled while the lock is held.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from orchestrator.home import read_or_create_secret
from orchestrator.launch.console import LaunchError

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK_SUFFIX = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Paths inside one state folder."""

    path: Path

    @property
    def run(self) -> Path:
        """Pid, lock and broker files: meaningless after a reboot."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """One log file for each process."""
        return self.path / "logs"

    @property
    def token_file(self) -> Path:
        """Where the first API token lies."""
        return self.path / "admin-token"

    @property
    def server_file(self) -> Path:
        """Holds the address at which the API answers, for commands on this machine."""
        return self.run / "server"

    @property
    def broker_url_file(self) -> Path:
        """Holds the broker's address and password, for node workers on this machine."""
        return self.run / "broker-url"

    def cluster(self) -> str:
        """Return the id all containers of this control plane are labelled with."""
        return os.environ.get("KIJABI_CLUSTER") or read_or_create_secret(
            self.path / "cluster-id", 8
        )

    def prepare(self) -> None:
        """Make the folder and its secrets, readable by this user alone.

        Raises:
            LaunchError: the folder cannot be made or written.
        """
        try:
            for path in (self.path, self.run, self.logs):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                # The mode of mkdir is cut down by umask and ignored for what exists already.
                path.chmod(0o700)
            self.cluster()
            read_or_create_secret(self.path / "secret-key", 50)
        except OSError as error:
            raise LaunchError(
                f"The state folder {self.path} cannot be used: {error.strerror}. "
                "Set KIJABI_HOME to a folder this user may write."
            ) from error


def current() -> Folder:
    """Return the folder `KIJABI_HOME` names, by default `.kijabi` beside manage.py."""
    named = os.environ.get("KIJABI_HOME")
    return Folder(path=Path(named).absolute() if named else REPOSITORY / ".kijabi")


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only this user may read it, at no moment anybody else."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


class Lock:
    """Exclusive use of something by one process; held until `release` or death."""

    def __init__(self, folder: Folder, name: str) -> None:
        self.path = folder.run / f"{name}{LOCK_SUFFIX}"
        self.pid_path = folder.run / f"{name}.pid"
        self._file: IO[str] | None = None

    def acquire(self) -> bool:
        """Take the lock and leave our pid beside it; False when another process holds it."""
        file = self.path.open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        write_private(self.pid_path, f"{os.getpid()}\n")
        return True

    def release(self) -> None:
        """Give the lock back; without holding it nothing happens."""
        if self._file is not None:
            self.pid_path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def holder(self) -> int | None:
        """Return the pid of the process that holds the lock now, None when nobody does."""
        if not self.path.exists():
            return None
        with self.path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return self._read_pid()
        return None

    def _read_pid(self) -> int | None:
        try:
            return int(self.pid_path.read_text())
        except (FileNotFoundError, ValueError):
            return None


def held_locks(folder: Folder, pattern: str) -> list[tuple[str, int]]:
    """Return name and pid of every lock matching the pattern that a living process holds."""
    held = []
    for path in sorted(folder.run.glob(pattern + LOCK_SUFFIX)):
        name = path.name.removesuffix(LOCK_SUFFIX)
        holder = Lock(folder, name).holder()
        if holder is not None:
            held.append((name, holder))
    return held

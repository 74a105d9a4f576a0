"""Limits on cpu, memory and processes, with cgroup version 1 or 2, where this machine allows it."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from worker.protocol import Resources

ROOT = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 100_000
PIDS_LIMIT = 512
UNLIMITED = "-1"
_CONTROLLERS = ("cpu", "memory", "pids")


class Cgroups:
    """The groups of one node's sandboxes; `note` says what cannot be enforced here."""

    def __init__(self, group: str, root: Path = ROOT) -> None:
        self._group = f"kijabi/{group}"
        self._is_v2 = "memory" in _read(root / "cgroup.controllers")
        self._root = root
        self._usable = [name for name in _CONTROLLERS if self._prepare(name)]
        missing = [name for name in ("cpu", "memory") if name not in self._usable]
        limits = " and ".join(missing)
        self.note = f"{limits} limits are not enforced: no writable cgroup here" if missing else ""

    def create(self, name: str, resources: Resources) -> list[Path]:
        """Make the group of one container; return the files a process joins by."""
        folders = self._folders(name)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        self.set_limits(name, resources)
        return [folder / "cgroup.procs" for folder in folders]

    def set_limits(self, name: str, resources: Resources) -> None:
        """Set or lift the limits of a container, while it runs or before.

        Raises:
            OSError: the kernel refuses, for example a memory limit below what is in use.
        """
        for file, value in self._settings(resources):
            for folder in self._folders(name):
                if (folder / file).exists():
                    (folder / file).write_text(value)

    def oom_kills(self, name: str) -> int:
        """Return how many processes of a container the kernel killed for want of memory."""
        file = "memory.events" if self._is_v2 else "memory.oom_control"
        for folder in self._folders(name):
            for line in _read(folder / file).splitlines():
                word, _, count = line.partition(" ")
                if word == "oom_kill":
                    return int(count)
        return 0

    def remove(self, name: str) -> None:
        """Remove the groups of a container; its last processes may take a moment to be gone."""
        for folder in self._folders(name):
            for _ in range(20):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
                else:
                    break

    def _prepare(self, controller: str) -> bool:
        parent = self._root / self._group if self._is_v2 else self._root / controller / self._group
        if not self._is_v2 and not (self._root / controller / "cgroup.procs").exists():
            return False
        with contextlib.suppress(OSError):
            parent.mkdir(parents=True, exist_ok=True)
            if self._is_v2:
                for folder in (self._root, parent.parent, parent):
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            return os.access(parent / "cgroup.procs", os.W_OK)
        return False

    def _folders(self, name: str) -> list[Path]:
        if self._is_v2:
            return [self._root / self._group / name] if self._usable else []
        return [self._root / controller / self._group / name for controller in self._usable]

    def _settings(self, resources: Resources) -> list[tuple[str, str]]:
        cpu, memory = resources.cpu_limit_millis, resources.memory_limit_bytes
        quota = None if cpu is None else max(1000, cpu * PERIOD_MICROSECONDS // 1000)
        if self._is_v2:
            return [
                ("pids.max", str(PIDS_LIMIT)),
                ("cpu.max", f"{quota or 'max'} {PERIOD_MICROSECONDS}"),
                ("memory.max", str(memory or "max")),
            ]
        return [
            ("pids.max", str(PIDS_LIMIT)),
            ("cpu.cfs_quota_us", str(quota or UNLIMITED)),
            ("memory.limit_in_bytes", str(memory or UNLIMITED)),
        ]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

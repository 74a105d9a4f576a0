"""Limits on cpu, memory and processes, with cgroup version 1 or 2, where this machine allows it."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from worker.processes import ProcessId
from worker.protocol import Resources
from worker.runtimes.usage import Meter

ROOT = Path("/sys/fs/cgroup")
PERIOD_MICROSECONDS = 100_000
SMALLEST_QUOTA = 1000
PIDS_LIMIT = 512
REMOVALS = 50
REMOVAL_SECONDS = 0.01
_CONTROLLERS = ("cpu", "memory", "pids")


class Cgroups:
    """The groups of one node's sandboxes."""

    def __init__(self, group: str, root: Path = ROOT) -> None:
        self._group = f"kijabi/{group}"
        self._is_v2 = "memory" in _read(root / "cgroup.controllers")
        self._root = root
        self._usable = [name for name in _CONTROLLERS if self._prepare(name)]
        # In version 1 cpu time is counted in a hierarchy that may be one of its own.
        self._counted = ["cpuacct"] if not self._is_v2 and self._prepare("cpuacct") else []

    def note(self, resources: Resources | None = None) -> str:
        """Return a sentence on the limits (those asked for, or any) not enforced here, or none."""
        asked = {
            "cpu": resources is None or resources.cpu_limit_millis is not None,
            "memory": resources is None or resources.memory_limit_bytes is not None,
            "pids": resources is None,
        }
        missing = [name for name in _CONTROLLERS if asked[name] and name not in self._usable]
        if not missing:
            return ""
        return f"{' and '.join(missing)} limits are not enforced: no writable cgroup here"

    def create(self, name: str, resources: Resources) -> list[str]:
        """Make the group of one container; return the files a process joins by.

        Raises:
            OSError: the kernel refuses a limit.
        """
        self.remove(name)
        for folder in self._folders(name):
            folder.mkdir(parents=True, exist_ok=True)
        self.set_limits(name, resources)
        return self.joins(name)

    def joins(self, name: str) -> list[str]:
        """Return the files by which a process joins the group of a container."""
        return [str(folder / "cgroup.procs") for folder in self._folders(name)]

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

    def meter(self, name: str, run: str) -> Meter | None:
        """Return where a container is counted; None when it is not, or not everything."""
        cpu, memory = self._folder_of("cpuacct", name), self._folder_of("memory", name)
        if cpu is None or memory is None or not (cpu / "cgroup.procs").exists():
            return None
        return Meter(run=run, cpu=cpu, memory=memory)

    def remove(self, name: str) -> None:
        """Remove the groups of a container, ending whatever is still in them."""
        for folder in self._folders(name):
            for _ in range(REMOVALS):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    # Its folder may have been deleted behind our back, its processes not.
                    _kill_members(folder)
                    time.sleep(REMOVAL_SECONDS)

    def names(self) -> list[str]:
        """Return the containers that have groups here."""
        parents = {folder.parent for folder in self._folders("-")}
        found = [path for parent in parents for path in parent.glob("kijabi-*")]
        return sorted({path.name for path in found if path.is_dir()})

    def has_members(self, name: str) -> bool:
        """Tell whether something runs in the groups of a container."""
        return any(_read(folder / "cgroup.procs").strip() for folder in self._folders(name))

    def _prepare(self, controller: str) -> bool:
        """Make the parent group; tell whether this controller works in groups below it."""
        parent = self._root / self._group if self._is_v2 else self._root / controller / self._group
        if not self._is_v2 and not (self._root / controller / "cgroup.procs").exists():
            return False
        with contextlib.suppress(OSError):
            parent.mkdir(parents=True, exist_ok=True)
            if not self._is_v2:
                return os.access(parent / "cgroup.procs", os.W_OK)
            for folder in (self._root, parent.parent, parent):
                (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            return controller in _read(parent / "cgroup.subtree_control").split()
        return False

    def _folder_of(self, controller: str, name: str) -> Path | None:
        """Return the folder in which a controller counts a container."""
        if self._is_v2:
            kind = "cpu" if controller == "cpuacct" else controller
            return self._root / self._group / name if kind in self._usable else None
        known = controller in [*self._usable, *self._counted]
        return self._root / controller / self._group / name if known else None

    def _folders(self, name: str) -> list[Path]:
        if self._is_v2:
            return [self._root / self._group / name] if self._usable else []
        controllers = [*self._counted, *self._usable]
        return [self._root / controller / self._group / name for controller in controllers]

    def _settings(self, resources: Resources) -> list[tuple[str, str]]:
        """Return what to write where; the one that may be refused comes first."""
        cpu, memory = resources.cpu_limit_millis, resources.memory_limit_bytes
        quota = None if cpu is None else max(SMALLEST_QUOTA, cpu * PERIOD_MICROSECONDS // 1000)
        if self._is_v2:
            return [
                ("memory.max", str(memory or "max")),
                ("memory.swap.max", "max" if memory is None else "0"),
                ("cpu.max", f"{quota or 'max'} {PERIOD_MICROSECONDS}"),
                ("pids.max", str(PIDS_LIMIT)),
            ]
        return [
            ("memory.limit_in_bytes", str(memory or -1)),
            ("cpu.cfs_quota_us", str(quota or -1)),
            ("pids.max", str(PIDS_LIMIT)),
        ]


def _kill_members(folder: Path) -> None:
    for word in _read(folder / "cgroup.procs").split():
        if (process := ProcessId.of(int(word))) is not None:
            process.signal(signal.SIGKILL)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""

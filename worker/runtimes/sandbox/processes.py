"""Processes that need not be our children: named by pid and start time, watched by pidfd."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that a recycled pid cannot be mistaken for; `start` is in clock ticks from boot."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> ProcessId | None:
        """Return the identity of a running process; None when it is gone (or a zombie)."""
        fields = _stat(pid)
        return None if fields is None or fields[0] == "Z" else cls(pid, int(fields[19]))

    def is_alive(self) -> bool:
        """Tell whether exactly this process still runs."""
        return ProcessId.of(self.pid) == self

    def open(self) -> int | None:
        """Return a pidfd (readable once the process has ended), or None when it has."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.is_alive():
            return descriptor
        os.close(descriptor)
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        descriptor = self.open()
        if descriptor is None:
            return
        try:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended, at most so long; return whether it has."""
        descriptor = self.open()
        if descriptor is None:
            return True
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            return bool(poller.poll(max(0, int(seconds * 1000))))
        finally:
            os.close(descriptor)


def children(pid: int) -> list[int]:
    """Return the direct children of a process, the oldest first."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def words_of(pid: int) -> bytes:
    """Return a process's command line as the kernel shows it; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_in_pid_namespace(pid: int, namespace: int) -> bool:
    """Tell whether a process lives in the pid namespace of that number."""
    try:
        return Path(f"/proc/{pid}/ns/pid").stat().st_ino == namespace
    except OSError:
        return False


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the name, or None when there is no process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None

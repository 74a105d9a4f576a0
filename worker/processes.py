"""Processes that need not be our children: named by pid and start time, watched by pidfd."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

KILL_ROUNDS = 20
KILL_WAIT_SECONDS = 0.1


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


def favour(group: int, nice: int) -> None:
    """Have a group of processes, which leads its session, run sooner than others (below 0).

    Where the kernel shares the processor among sessions it is the session's weight that counts
    (sched(7), autogroup), so both are set. Where we may not, it runs like everything else.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, group, nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{group}/autogroup").write_text(str(nice))


def children(pid: int) -> list[int]:
    """Return the direct children of a process, the oldest first."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill_all_of(leader: ProcessId) -> None:
    """Kill a process, everything below it, and everything in a session that one of these began.

    Raises:
        PermissionError: they belong to somebody else.
    """
    sessions: set[int] = set()
    for _ in range(KILL_ROUNDS):
        found = _offspring(leader, sessions)
        if not found:
            return
        for process in found:
            process.signal(signal.SIGKILL)
        # What was forked between the look and the signal is in one of the sessions.
        found[-1].wait(KILL_WAIT_SECONDS)


def _offspring(leader: ProcessId, sessions: set[int]) -> list[ProcessId]:
    """Return the living processes that `kill_all_of` is about; note the sessions they lead."""
    table: dict[int, list[str]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(path.name))
        if fields is not None and fields[0] != "Z":
            table[int(path.name)] = fields
    known = table.get(leader.pid)
    members = {leader.pid} if known is not None and int(known[19]) == leader.start else set()
    while True:
        sessions |= {pid for pid in members if int(table[pid][3]) == pid}
        more = {
            pid
            for pid, fields in table.items()
            if int(fields[1]) in members or int(fields[3]) in sessions
        }
        if more <= members:
            return [ProcessId(pid, int(table[pid][19])) for pid in sorted(members)]
        members |= more


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

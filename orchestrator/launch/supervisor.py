"""Run child processes and start again whichever ends, until told to stop.

A child's end is noticed at once (pidfd), never by polling. Children end with the supervisor even
if it is killed: the kernel kills them (PR_SET_PDEATHSIG), so that the next supervisor never meets
a child of the one before.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 5.0
STEADY_SECONDS = 10.0
GRACE_SECONDS = 10.0
TAIL_BYTES = 4096
MAX_LOG_BYTES = 10 * 1024 * 1024
LOG_CHECK_SECONDS = 60.0
# A program that cannot run is told of each time at first, then about once a minute.
TOLD_ENDS, TOLD_EVERY = 5, 12
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(slots=True)
class Child:
    """One program to keep running; `wait` is the delay before its next start."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    wait: float = 0.0
    start_at: float = field(default=0.0)
    quick_ends: int = 0


class Supervisor:
    """Keeps children running; `say` prints one line for the person at the console."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._children: list[Child] = []
        self._selector = selectors.DefaultSelector()
        self._ending = False
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)

    def add(self, child: Child) -> None:
        """Start a child and keep it running."""
        self._children.append(child)
        self._start(child)

    def ask_to_end(self, *_: object) -> None:
        """End soon (a signal handler)."""
        self._ending = True
        os.write(self._wake_write, b"x")

    def run(self) -> None:
        """Supervise until asked to end."""
        next_log_check = time.monotonic() + LOG_CHECK_SECONDS
        while not self._ending:
            self.step(self._next_wait())
            if time.monotonic() > next_log_check:
                next_log_check = time.monotonic() + LOG_CHECK_SECONDS
                for child in self._children:
                    with contextlib.suppress(OSError):
                        rotate(child.log)

    def step(self, timeout: float | None) -> None:
        """Wait for something to happen, at most so long, and react to it."""
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                os.read(self._wake_read, 1024)
            else:
                self._ended(key.data, key.fd)
        now = time.monotonic()
        for child in self._children:
            if child.process is None and child.start_at <= now and not self._ending:
                self._start(child)

    def end(self) -> None:
        """End every child, the latest started first; containers are not among them."""
        self._ending = True
        # The broker, started first, goes last, so that the others can still say goodbye.
        for group in (self._children[1:], self._children[:1]):
            for child in group:
                _signal(child, signal.SIGTERM)
            deadline = time.monotonic() + GRACE_SECONDS
            for child in group:
                _await_end(child, deadline)

    @property
    def is_ending(self) -> bool:
        """Tell whether somebody asked to end."""
        return self._ending

    def unable(self, tries: int) -> Child | None:
        """Return a child that ended this often in a row right after its start, if there is one."""
        return next((c for c in self._children if c.quick_ends >= tries), None)

    def is_alive(self, name: str) -> bool:
        """Tell whether the named child runs now."""
        return any(c.name == name and c.process is not None for c in self._children)

    def pids(self) -> dict[str, int]:
        """Return the process ids of the running children by name."""
        return {c.name: c.process.pid for c in self._children if c.process is not None}

    def _next_wait(self) -> float | None:
        due = [c.start_at - time.monotonic() for c in self._children if c.process is None]
        return max(0.0, min([LOG_CHECK_SECONDS, *due]))

    def _start(self, child: Child) -> None:
        parent = os.getpid()
        with self._open_log(child) as log:
            child.process = subprocess.Popen(  # noqa: S603, our own programs
                child.command,
                env=dict(child.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: _die_with(parent),  # noqa: PLW1509, a single thread starts us
            )
        child.started_at = time.monotonic()
        descriptor = os.pidfd_open(child.process.pid)
        self._selector.register(descriptor, selectors.EVENT_READ, child)

    def _open_log(self, child: Child) -> IO[bytes]:
        """Return the file that takes what a child says; a disk's fault must not end them all."""
        try:
            child.log.parent.mkdir(parents=True, exist_ok=True)
            rotate(child.log)
            return child.log.open("ab")
        except OSError as error:
            if child.quick_ends <= 1:
                self._say(f"{child.name} runs without a log: {child.log}: {error.strerror}")
            return Path(os.devnull).open("ab")

    def _ended(self, child: Child, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        os.close(descriptor)
        if child.process is None:
            return
        status = child.process.wait()
        child.process = None
        if self._ending:
            return
        now = time.monotonic()
        steady = now - child.started_at >= STEADY_SECONDS
        child.quick_ends = 1 if steady else child.quick_ends + 1
        child.wait = restart_wait(child.quick_ends)
        child.start_at = now + child.wait
        if child.quick_ends <= TOLD_ENDS or child.quick_ends % TOLD_EVERY == 0:
            self._say(_obituary(child, status))


def latest_line(log: Path) -> str:
    """Return the last thing a program said, for the person who has to mend it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError as error:
        return f"its log cannot be read ({error.strerror})"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")


def _obituary(child: Child, status: int) -> str:
    how = (
        f"by signal {-status}" if status < 0 else f"with status {status}: {latest_line(child.log)}"
    )
    when = f"in {child.wait:g} s" if child.wait else "now"
    often = f" for the {child.quick_ends}th time" if child.quick_ends > TOLD_ENDS else ""
    return f"{child.name} ended{often} {how}; it is started again {when} (its log: {child.log})"


def restart_wait(quick_ends: int) -> float:
    """Return the delay before a start after so many ends in a row soon after the start before.

    None after the first, then 0.2, 0.4 … 5 s: a crash costs nothing, a hopeless program little.
    """
    if quick_ends <= 1:
        return 0.0
    return min(LONGEST_WAIT, SHORTEST_WAIT * 2.0 ** min(quick_ends - 2, 10))


def rotate(log: Path) -> None:
    """Keep a log file from growing without end: copy it aside and cut it, writers keep writing."""
    if not log.exists() or log.stat().st_size < MAX_LOG_BYTES:
        return
    with log.open("rb+") as file:
        log.with_suffix(".log.1").write_bytes(file.read())
        file.truncate(0)


def _die_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends; check that it has not already."""
    # SIGKILL: a child that takes its time would share port, queue and files with its successor.
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _signal(child: Child, number: signal.Signals) -> None:
    if child.process is not None and child.process.poll() is None:
        child.process.send_signal(number)


def _await_end(child: Child, deadline: float) -> None:
    if child.process is None:
        return
    try:
        child.process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"kijabi: {child.name} does not end; it is killed\n")
        child.process.kill()
        child.process.wait()

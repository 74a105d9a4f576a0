"""Keeps a handful of child programs running and ends them in order.

One thread, no polling: the loop sleeps until a signal arrives (SIGCHLD when a child dies, SIGINT,
SIGTERM or SIGHUP to stop) or until the next restart is due. It signals only pids of children it
has not yet waited for, so no foreign process can ever be hit.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Self

from orchestrator.launch import logs
from orchestrator.launch.console import complain
from orchestrator.launch.programs import Program, spawn

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SETTLED_SECONDS = 10.0
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
ROTATE_SECONDS = 30.0


def restart_delay(quick_deaths: int) -> float:
    """Return the seconds to wait after this many deaths in a row soon after a start.

    None for the first, then 0.2, 0.4 … 5 s: a crash costs nothing, a program that cannot run
    costs little.
    """
    if quick_deaths <= 1:
        return 0.0
    return min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(quick_deaths - 2, 10))


@dataclass(slots=True)
class Child:
    """One supervised program; times are on the monotonic clock."""

    program: Program
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    quick_deaths: int = 0


class Supervisor:
    """Runs programs until told to stop; use it as a context manager, in the main thread."""

    def __init__(self, report: Callable[[str], None] = complain) -> None:
        self.stopping = False
        self._report = report
        self._children: dict[str, Child] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stop_signals = 0
        self._rotated_at = time.monotonic()

    def __enter__(self) -> Self:
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._previous_wakeup = signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._previous_handlers = {
            number: signal.signal(number, self._on_signal)
            for number in (*STOP_SIGNALS, signal.SIGCHLD)
        }
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()
        for number, previous in self._previous_handlers.items():
            signal.signal(number, previous)
        signal.set_wakeup_fd(self._previous_wakeup)
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def start(self, program: Program) -> None:
        """Start a program and keep it running from now on."""
        logs.rotate(program.log)
        child = Child(program=program)
        self._children[program.name] = child
        self._spawn(child)

    def deaths_of(self, name: str) -> int:
        """Return how often in a row this program has died soon after its start."""
        return self._children[name].quick_deaths

    def pid_of(self, name: str) -> int | None:
        """Return the pid of this program, None while it is down."""
        process = self._children[name].process
        return process.pid if process is not None else None

    def turn(self, timeout: float | None = None) -> None:
        """Sleep until something happens (at most `timeout` seconds) and act on it."""
        now = time.monotonic()
        due = [c.restart_at for c in self._children.values() if c.restart_at is not None]
        waits = [at - now for at in (*due, self._rotated_at + ROTATE_SECONDS)]
        if timeout is not None:
            waits.append(timeout)
        self._sleep(max(0.0, min(waits)))
        self._reap()
        if not self.stopping:
            self._restart_due()
            self._rotate_logs()

    def run(self) -> None:
        """Keep everything running until a stop signal arrives."""
        while not self.stopping:
            self.turn()

    def stop_all(self, *first: str) -> None:
        """End the named programs together, then all others together; a second signal kills.

        Without names everything is ended at once.
        """
        self.stopping = True
        for group in (first, tuple(self._children)):
            self._stop_group([self._children[name] for name in group if name in self._children])

    def _stop_group(self, children: list[Child]) -> None:
        asked_at, signals_before = time.monotonic(), self._stop_signals
        for child in children:
            child.restart_at = None
            self._send(child, signal.SIGTERM)
        while running := [child for child in children if child.process is not None]:
            now = time.monotonic()
            impatient = self._stop_signals > signals_before
            for child in running:
                if impatient or now >= asked_at + child.program.stop_seconds:
                    self._send(child, signal.SIGKILL)
            limit = max(child.program.stop_seconds for child in running)
            self._sleep(max(0.05, asked_at + limit - now))
            self._reap()

    @staticmethod
    def _send(child: Child, number: signal.Signals) -> None:
        # Popen refuses to signal a child it has already waited for.
        if child.process is not None:
            child.process.send_signal(number)

    def _spawn(self, child: Child) -> None:
        child.restart_at = None
        child.started_at = time.monotonic()
        try:
            child.process = spawn(child.program)
        except OSError as error:
            self._after_death(child, f"could not be started ({error})")

    def _reap(self) -> None:
        for child in self._children.values():
            if child.process is None:
                continue
            status = child.process.poll()
            if status is not None:
                child.process = None
                if not self.stopping:
                    self._after_death(child, describe_exit(status))

    def _after_death(self, child: Child, what: str) -> None:
        now = time.monotonic()
        lived_long = now - child.started_at >= SETTLED_SECONDS
        child.quick_deaths = 1 if lived_long else child.quick_deaths + 1
        delay = restart_delay(child.quick_deaths)
        child.restart_at = now + delay
        line = logs.latest_line(child.program.log)
        self._report(
            f"{child.program.name} {what}"
            + (f" ({line})" if line else "")
            + f"; restarting {f'in {delay:g} s' if delay else 'now'}. Log: {child.program.log}"
        )

    def _restart_due(self) -> None:
        now = time.monotonic()
        for child in self._children.values():
            if child.restart_at is not None and child.restart_at <= now:
                self._spawn(child)

    def _rotate_logs(self) -> None:
        now = time.monotonic()
        if now - self._rotated_at >= ROTATE_SECONDS:
            self._rotated_at = now
            for child in self._children.values():
                logs.rotate(child.program.log)

    def _sleep(self, seconds: float) -> None:
        if self._selector.select(seconds):
            os.read(self._wake_reader, 4096)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        # The wake-up pipe has already been written to; here only the wish is noted.
        if number in STOP_SIGNALS:
            self._stop_signals += 1
            self.stopping = True


def describe_exit(status: int) -> str:
    """Say how a process ended, from the return code that `subprocess` gives."""
    if status < 0:
        try:
            return f"was ended by {signal.Signals(-status).name}"
        except ValueError:
            return f"was ended by signal {-status}"
    return f"ended with exit status {status}"

"""Tell the control plane what changed, soon and in few messages, and everything now and then.

What could not be sent stays due: reports carry states, so the next one that gets through says it
all.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from worker.protocol import NodeFacts, NodeReport, ReplicaStatus, to_wire

logger = logging.getLogger(__name__)

COALESCE_SECONDS = 0.02
RETRY_SECONDS = 0.5
MAX_PER_REPORT = 500
Statuses = Callable[[Iterable[str] | None], Sequence[ReplicaStatus]]


class Reporter:
    """Collects what is due and sends it; `send` returns whether the broker took the report."""

    def __init__(
        self,
        node: str,
        boot: int,
        facts: Callable[[], NodeFacts],
        send: Callable[[dict[str, object]], bool],
        *,
        full_seconds: float = 10.0,
    ) -> None:
        self._node = node
        self._boot = boot
        self._facts = facts
        self._send = send
        self._full_seconds = full_seconds
        self._statuses: Statuses = lambda _uids: ()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._due: set[str] = set()
        self._pongs: list[str] = []
        self._full_due = True
        self._sequence = 0
        self._told_deaths: dict[str, float] = {}
        self._closed = False

    def attach(self, statuses: Statuses) -> None:
        """Say where the accounts of replicas come from."""
        self._statuses = statuses

    def changed(self, uid: str) -> None:
        """Have a replica reported soon."""
        with self._lock:
            self._due.add(uid)
        self._wake.set()

    def ask_full(self) -> None:
        """Have everything reported soon."""
        with self._lock:
            self._full_due = True
        self._wake.set()

    def answer_ping(self, token: str) -> None:
        """Have a ping answered soon."""
        with self._lock:
            self._pongs.append(token)
        self._wake.set()

    def start(self) -> None:
        """Report from a thread of its own."""
        threading.Thread(target=self._run, name="reporter", daemon=True).start()

    def close(self) -> None:
        """Stop reporting."""
        self._closed = True
        self._wake.set()

    def flush(self) -> bool:
        """Send what is due now; return whether nothing is left."""
        with self._lock:
            due, pongs, full = sorted(self._due), self._pongs, self._full_due
            self._due, self._pongs, self._full_due = set(), [], False
        if not (due or pongs or full):
            return True
        if self._send(to_wire(self._report(due, pongs[-1] if pongs else "", full=full))):
            return True
        with self._lock:
            self._due |= set(due)
            self._full_due = self._full_due or full
        return False

    def _report(self, due: list[str], pong: str, *, full: bool) -> NodeReport:
        # The number is taken before the look: a later look can only have a higher one.
        self._sequence += 1
        sequence = self._sequence
        statuses = self._statuses(None if full else due)
        return NodeReport(
            node=self._node,
            boot=self._boot,
            sequence=sequence,
            sent_at=time.time(),
            full=full,
            facts=self._facts() if full else None,
            replicas=tuple(self._lightened(status, due) for status in statuses),
            pong=pong,
        )

    def _lightened(self, status: ReplicaStatus, due: list[str]) -> ReplicaStatus:
        """Leave out the log of a death that was told before, unless something else changed."""
        if status.death is None:
            return status
        told = self._told_deaths.get(status.uid)
        self._told_deaths[status.uid] = status.death.finished_at
        if told == status.death.finished_at and status.uid not in due:
            return replace(status, death=replace(status.death, log_tail=""))
        return status

    def _run(self) -> None:
        next_full = time.monotonic() + self._full_seconds
        while not self._closed:
            self._wake.wait(max(0.0, next_full - time.monotonic()))
            self._wake.clear()
            if time.monotonic() >= next_full:
                self._full_due = True
                next_full = time.monotonic() + self._full_seconds
            time.sleep(COALESCE_SECONDS)
            if not self.flush():
                time.sleep(RETRY_SECONDS)
                self._wake.set()

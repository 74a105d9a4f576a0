"""Tell the control plane what changed, soon and in few messages, and everything now and then.

What could not be sent stays due: reports carry states, so the next one that gets through says it
all.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from worker.protocol import NodeFacts, NodeReport, ReplicaStatus, RoutingStatus, to_wire

logger = logging.getLogger(__name__)

# Long enough for a restart to be under way before the death is told: both want the processor.
COALESCE_SECONDS = 0.02
PAUSE_SECONDS = 0.08
# That a replica became ready hardly waits: clients may. A death does, as said above.
URGENT_SECONDS = 0.002
URGENT_PAUSE_SECONDS = 0.01
# A job is told as accepted well before it would be sent again (after 2 s); most are done by then,
# and a report less is time for the engine on a small machine.
PASSING_SECONDS = 0.5
RETRY_SECONDS = 0.5
MAX_PER_REPORT = 200
FIRST_LOOK_SECONDS = 3.0
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
        self._routing: Callable[[], RoutingStatus | None] = lambda: None
        self._routing_due = False
        # Numbers must leave in their order, and routing is told from another thread. Under an
        # eager broker a report is answered by work that reports, within the very sending.
        self._sending = threading.RLock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        # Whether each replica was ready when that was told last, or is about to be.
        self._told_ready: dict[str, bool] = {}
        # When the next report is due (monotonic): the first one at once.
        self._next_at = time.monotonic()
        self._lock = threading.Lock()
        self._due: set[str] = set()
        self._full_due = True
        self._sequence = 0
        self._told_deaths: dict[str, float] = {}
        self._closed = False

    def attach(self, statuses: Statuses) -> None:
        """Say where the accounts of replicas come from."""
        self._statuses = statuses

    def attach_routing(self, routing: Callable[[], RoutingStatus | None]) -> None:
        """Say where the account of the gateways comes from."""
        self._routing = routing

    def tell_routing(self) -> None:
        """Report what the gateways do now, from this very thread: a stop may wait for it."""
        if not self._tell([], full=False, routing=True):
            self._be_due_in(RETRY_SECONDS)

    def changed(self, uid: str) -> None:
        """Have a replica reported at once."""
        self._add(uid, 0.0)
        ready = any(status.ready for status in self._statuses([uid]))
        with self._lock:
            is_urgent = ready and not self._told_ready.get(uid, False)
            self._told_ready[uid] = ready
        if is_urgent:
            self._urgent.set()

    def passing(self, uid: str) -> None:
        """Have a replica reported soon: what is to be said of it will be outdated in a moment."""
        self._add(uid, PASSING_SECONDS)

    def _add(self, uid: str, seconds: float) -> None:
        with self._lock:
            self._due.add(uid)
        self._be_due_in(seconds)

    def _be_due_in(self, seconds: float) -> None:
        with self._lock:
            self._next_at = min(self._next_at, time.monotonic() + seconds)
        self._wake.set()

    def ask_full(self) -> None:
        """Have everything reported soon."""
        with self._lock:
            self._full_due = True
        self._be_due_in(0.0)

    def start(self, has_looked: threading.Event) -> None:
        """Report from a thread of its own, once the replicas have been looked at.

        A report before that would say of every replica that it is not ready.
        """
        threading.Thread(target=self._run, args=(has_looked,), name="reporter", daemon=True).start()

    def close(self) -> None:
        """Stop reporting."""
        self._closed = True
        self._wake.set()

    def flush(self) -> bool:
        """Send what is due now; return whether nothing is left."""
        while True:
            with self._lock:
                full = self._full_due
                # An inventory is one message; changes are told in portions.
                due = sorted(self._due) if full else sorted(self._due)[:MAX_PER_REPORT]
                self._due -= set(due)
                self._full_due = False
                routing, self._routing_due = self._routing_due, False
            if not (due or full or routing):
                return True
            if not self._tell(due, full=full, routing=routing):
                return False

    def _tell(self, due: list[str], *, full: bool, routing: bool = False) -> bool:
        """Send one report; what the broker does not take, for whatever reason, stays due."""
        taken = False
        try:
            with self._sending:
                report = self._report(due, full=full, routing=routing)
                taken = self._send(to_wire(report))
        finally:
            with self._lock:
                if not taken:
                    self._due |= set(due)
                    self._full_due = self._full_due or full
                    self._routing_due = self._routing_due or routing
        if taken:
            self._note_deaths(report)
        return taken

    def _report(self, due: list[str], *, full: bool, routing: bool) -> NodeReport:
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
            routing=self._routing() if full or routing else None,
        )

    def _lightened(self, status: ReplicaStatus, due: list[str]) -> ReplicaStatus:
        """Leave out the log of a death that was told before, unless something else changed."""
        if status.death is None:
            return status
        told = self._told_deaths.get(status.uid)
        if told == status.death.finished_at and status.uid not in due:
            return replace(status, death=replace(status.death, log_tail=""))
        return status

    def _note_deaths(self, report: NodeReport) -> None:
        """Remember which deaths have been told; of a full report, nothing else is worth keeping."""
        if report.full:
            self._told_deaths.clear()
        for status in report.replicas:
            if status.death is not None:
                self._told_deaths[status.uid] = status.death.finished_at
        if report.full:
            with self._lock:
                self._told_ready = {status.uid: status.ready for status in report.replicas}

    def _run(self, has_looked: threading.Event) -> None:
        has_looked.wait(FIRST_LOOK_SECONDS)
        next_full = time.monotonic() + self._full_seconds
        while not self._closed:
            self._wake.wait(max(0.0, min(self._next_at, next_full) - time.monotonic()))
            self._wake.clear()
            if time.monotonic() >= next_full:
                self.ask_full()
                next_full = time.monotonic() + self._full_seconds
            if time.monotonic() < self._next_at:
                continue
            if self._urgent.wait(COALESCE_SECONDS):
                time.sleep(URGENT_SECONDS)
            self._urgent.clear()
            with self._lock:
                self._next_at = math.inf
            if self._flush_safely():
                # The first change after a quiet time is told at once; in a burst, many at a time.
                time.sleep(URGENT_PAUSE_SECONDS)
                self._urgent.wait(PAUSE_SECONDS - URGENT_PAUSE_SECONDS)
            else:
                time.sleep(RETRY_SECONDS)
                self._be_due_in(0.0)

    def _flush_safely(self) -> bool:
        try:
            return self.flush()
        except Exception:
            # Without this thread the node would fall silent and be taken for lost.
            logger.exception("A report could not be made")
            return False

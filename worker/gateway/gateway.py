"""Carry out the routes: take what the control plane sends, watch what happens here, tell.

One thread does the work, woken by a message, by an event of a replica of this node, or by a
regular look. A generation is confirmed when every way of routing has it, never before.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from worker.gateway.drains import Drains
from worker.gateway.live import Place
from worker.gateway.newcomers import Newcomers
from worker.gateway.nftables import CannotRoute
from worker.gateway.request_counter import RequestCounter
from worker.gateway.rotation import Rotation, View
from worker.gateway.table import Routes, RouteStore, merged
from worker.measured import MeasuredRequests
from worker.protocol import ReplicaUid, RoutingStatus
from worker.routes import RoutingTable

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
RETRY_SECONDS = 1.0


class Way(Protocol):
    """One way of routing: the kernel's rules, say. One without a name carries no traffic."""

    name: str

    def carry_out(self, view: View) -> None:
        """Route as the view says.

        Raises:
            CannotRoute: it could not be done; what was in force still is.
        """

    def settle(self, view: View) -> None:
        """Do what is not urgent, once the view is in force and told."""

    def check(self) -> bool:
        """Tell whether all is as we left it."""

    def busy(self, view: View) -> frozenset[str]:
        """Return the draining replicas that still have connections or requests."""

    def awaited(self) -> frozenset[str]:
        """Return the services (`namespace/name`) whose requests wait until somebody serves."""

    def notes(self) -> tuple[str, ...]:
        """Return what cannot be done here, one sentence each."""

    def close(self) -> None:
        """End; what the kernel does by itself goes on."""


class Gateway:
    """Everything that routes on one node; `tell` has the status reported at once."""

    def __init__(
        self,
        store: RouteStore,
        ways: tuple[Way, ...],
        *,
        look: Callable[[], Place],
        tell: Callable[[], None],
        notes: tuple[str, ...] = (),
        counter: RequestCounter | None = None,
    ) -> None:
        self._store = store
        self._ways = ways
        self._look = look
        self._tell = tell
        self._notes = notes
        self._counter = counter
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = False
        self._routes = store.load()
        self._rotation = Rotation()
        self._newcomers = Newcomers()
        self._drains = Drains()
        self._spoken_of: set[str] = set()
        self._view = View()
        self._failures: dict[str, str] = {}
        self._status = RoutingStatus(generation=0, ways=_names(ways))
        self._checked_at = time.monotonic()

    @property
    def status(self) -> RoutingStatus:
        """Return what is in force; it changes as a whole."""
        return self._status

    def start(self) -> None:
        """Restore what was stored, and go on in a thread of its own."""
        threading.Thread(target=self._run, name="gateway", daemon=True).start()
        self._wake.set()

    def close(self) -> None:
        """End; the rules of the kernel stay."""
        self._closed = True
        self._wake.set()
        for way in self._ways:
            way.close()
        if self._counter is not None:
            self._counter.close()

    def take(self, message: RoutingTable) -> None:
        """Keep a message and have it carried out; what is already in force is told again."""
        with self._lock:
            after = merged(self._routes, message)
            if after is not None:
                self._store.save(self._routes, after)
                self._routes = after
                self._spoken_of.update(_replicas(message))
        if after is None or after.generation == self._status.generation:
            self._tell()
        self._wake.set()

    def replica_changed(self, uid: str) -> None:
        """Look again: something happened to a replica of this node."""
        del uid
        self.look_again()

    def look_again(self) -> None:
        """Look again soon, from the gateway's own thread."""
        self._wake.set()

    def requests(self, seconds: float) -> MeasuredRequests | None:
        """Return what was counted since the last call, `seconds` ago; None where nobody counts."""
        return self._counter.take(seconds) if self._counter is not None else None

    def run_once(self, *, afresh: bool = False) -> None:
        """Carry out what is due, and tell what has changed by it."""
        with self._lock:
            routes = self._routes
            spoken_of, self._spoken_of = self._spoken_of, set()
        place = self._newcomers.seen(self._look(), spoken_of)
        view = self._rotation.view(routes, place, afresh=afresh)
        self._failures = {}
        if self._counter is not None:
            self._counter.know(view)
        for way in self._ways:
            self._carry_out(way, view)
        self._view = view
        self._note(routes)
        for way in self._ways:
            way.settle(view)

    def _carry_out(self, way: Way, view: View) -> None:
        try:
            way.carry_out(view)
        except CannotRoute as problem:
            logger.warning("%s does not route: %s", way.name, problem)
            self._failures[way.name] = str(problem)

    def _note(self, routes: Routes) -> None:
        """Publish the status; a generation that a way could not carry out is not confirmed."""
        generation = self._status.generation if self._failures else routes.generation
        is_new = bool(self._failures) or generation != self._status.generation
        looks = [way.busy for way in self._ways]
        busy = self._drains.busy(self._view, looks, afresh=is_new)
        notes = [*self._notes, *self._failures.values()]
        for way in self._ways:
            notes += way.notes()
        status = RoutingStatus(
            generation=generation,
            ways=_names(self._ways),
            busy=tuple(ReplicaUid(uid) for uid in sorted(busy)),
            message="; ".join(dict.fromkeys(notes)),
            waiting=tuple(sorted(frozenset[str]().union(*(way.awaited() for way in self._ways)))),
        )
        if status != self._status:
            self._status = status
            self._tell()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(self._pause())
            self._wake.clear()
            if self._closed:
                return
            try:
                self._step()
            except Exception:
                # Without this thread the node would route by an old table for ever.
                logger.exception("The routes could not be carried out")
                time.sleep(RETRY_SECONDS)

    def _pause(self) -> float:
        if self._failures:
            return RETRY_SECONDS
        wait = self._drains.wait
        return CHECK_SECONDS if wait is None else wait

    def _step(self) -> None:
        is_due = time.monotonic() - self._checked_at >= CHECK_SECONDS
        if is_due:
            self._checked_at = time.monotonic()
            for way in self._ways:
                if not way.check():
                    logger.warning("What %s had in force is gone and is made anew", way.name)
        self.run_once(afresh=is_due)


def _replicas(message: RoutingTable) -> Iterable[str]:
    ports = (port for service in message.services for port in service.ports)
    return (end.replica for port in ports for end in port.endpoints)


def _names(ways: tuple[Way, ...]) -> tuple[str, ...]:
    return tuple(way.name for way in ways if way.name)

"""The node's agent: keeps the assigned replicas running, and tells what it sees.

A job is stored, then done (`intake`); doing it is level-triggered: every pass over a replica does
what is due, and looks at the container whenever an event or a comparison has raised a doubt. The
control plane may be away for as long as it likes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from worker.assignments import Assignment, AssignmentStore, NotKept
from worker.engines import Engines
from worker.intake import Intake
from worker.keeper import Keeper, Lane, Surroundings
from worker.protocol import Job, JobOutcome, NodePhase, ReplicaSpec, ReplicaStatus
from worker.running import Running
from worker.runtimes.base import ContainerInfo, ContainerRuntime, EventKind, RuntimeFailure
from worker.strangers import Strangers
from worker.tombstones import Tombstones
from worker.workqueue import WorkQueue

logger = logging.getLogger(__name__)

LANE_THREADS = {Lane.STOP: 64, Lane.LOOK: 64, Lane.WATCH: 8}
PROBE_THREADS = 16
# Events are the quick way; this comparison finds what they missed.
COMPARE_SECONDS = 30.0
BUG_SECONDS = 5.0
_COMPARE = ""


class Agent:
    """Keeps every assigned replica running.

    `changed` is called with a replica's uid; `passing` in its place for what is soon outdated.
    """

    def __init__(
        self,
        runtimes: Mapping[str, ContainerRuntime],
        store: AssignmentStore,
        changed: Callable[[str], None],
        *,
        passing: Callable[[str], None] | None = None,
        start_threads: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.engines = Engines(runtimes, clock)
        self._store = store
        self._changed = changed
        self._passing = passing or changed
        # Called first when a container has ended, before anything is found out about it.
        self.died: Callable[[str], None] = lambda _uid: None
        self._clock = clock
        self._lock = threading.RLock()
        self._queue = WorkQueue()
        self._stop = threading.Event()
        self._keepers: dict[str, Keeper] = {}
        self._tombstones = Tombstones(store, clock)
        self._strangers = Strangers()
        self._intake = Intake(
            self._keepers, self._tombstones, self._strangers, self._adopt, self._changed
        )
        self._starts = threading.Semaphore(start_threads)
        self._probes: ThreadPoolExecutor | None = None
        for assignment in store.load().values():
            self._adopt(assignment)
        self._unseen = set(self._keepers)
        # Set once every replica of an earlier start has been looked at.
        self.has_looked = threading.Event()
        self._saw("")

    @property
    def runtimes(self) -> Mapping[str, ContainerRuntime]:
        """Return the runtimes by name, the preferred one first."""
        return self.engines.runtimes

    @runtimes.setter
    def runtimes(self, runtimes: Mapping[str, ContainerRuntime]) -> None:
        self.engines = Engines(runtimes, self._clock)

    def execute(self, jobs: Iterable[Job]) -> None:
        """Take jobs: store what they ask, in one write, then let the passes make it so."""
        with self._lock:
            touched = self._intake.take(jobs)
            self._store.save(keeper.assignment for keeper in touched)
        for keeper in touched:
            self._queue.add(keeper.uid)
            self._passing(keeper.uid)

    def statuses(self, uids: Iterable[str] | None = None) -> list[ReplicaStatus]:
        """Return the account of some replicas, or of all: assigned, stopped lately, and strange."""
        wanted = set(uids) if uids is not None else None
        with self._lock:
            keepers = [k for uid, k in self._keepers.items() if wanted is None or uid in wanted]
            others = [*self._tombstones.told(wanted), *self._strangers.told(wanted)]
        # What runs outweighs that it was stopped once.
        told: dict[str, ReplicaStatus] = {status.uid: status for status in others}
        told.update({keeper.uid: keeper.status() for keeper in keepers})
        return list(told.values())

    def kept(self) -> list[tuple[ReplicaSpec, ReplicaStatus]]:
        """Return every replica assigned to this node, with its account."""
        with self._lock:
            keepers = list(self._keepers.values())
        return [(keeper.assignment.spec, keeper.status()) for keeper in keepers]

    def assignments(self) -> list[Assignment]:
        """Return what this node was given."""
        with self._lock:
            return [keeper.assignment for keeper in self._keepers.values()]

    @property
    def knows_all(self) -> bool:
        """Tell whether no replica of this node can be unknown: the list of them was never lost."""
        return not self._store.was_lost

    def runtime_of(self, uid: str) -> tuple[ContainerRuntime, str] | None:
        """Return the runtime and container name of a replica."""
        with self._lock:
            keeper = self._keepers.get(uid)
            if keeper is None:
                return None
            runtime = self.engines.pin(keeper.assignment)
            return (runtime, keeper.name) if runtime is not None else None

    def running(self) -> list[Running]:
        """Return the replicas that run, as far as is known."""
        with self._lock:
            keepers = [k for k in self._keepers.values() if k.phase is NodePhase.RUNNING]
        return [
            Running(
                uid=keeper.uid,
                container=keeper.name,
                runtime=keeper.assignment.runtime,
                restarts=keeper.assignment.restarts,
            )
            for keeper in keepers
        ]

    def start(self) -> None:
        """Begin to work: passes, and one event stream per runtime, in threads of their own."""
        self._probes = ThreadPoolExecutor(PROBE_THREADS, "probe")
        threading.Thread(target=self._work, name="passes", daemon=True).start()
        for name in self.runtimes:
            threading.Thread(
                target=self._follow, args=(name,), name=f"events-{name}", daemon=True
            ).start()
        self._queue.add_after(_COMPARE, COMPARE_SECONDS)

    def close(self) -> None:
        """Stop working; every container runs on."""
        self._stop.set()
        self._queue.close()
        if self._probes is not None:
            self._probes.shutdown(wait=False, cancel_futures=True)

    def run_until_idle(self) -> None:
        """Run every pass that is due, here and now (tests, eager mode)."""
        while (uid := self._queue.get(block=False)) is not None:
            self._pass(uid)

    def look_again(self) -> None:
        """Compare what runs with what was assigned; add a pass wherever they differ."""
        for name in self.runtimes:
            self._compare(name)

    def _took_along(self, runtime: str, at: float) -> bool:
        return self.engines.took_along(runtime, at)

    def _pin(self, assignment: Assignment) -> ContainerRuntime | None:
        return self.engines.pin(assignment)

    def _adopt(self, assignment: Assignment) -> Keeper:
        self._pin(assignment)
        keeper = Keeper(
            assignment,
            Surroundings(
                pin=self._pin,
                save=lambda item: self._store.save([item]),
                changed=self._changed,
                passing=self._passing,
                again=self._queue.add,
                starts=self._starts,
                run_probe=self._run_probe,
                took_along=self._took_along,
                clock=self._clock,
            ),
        )
        self._keepers[keeper.uid] = keeper
        self._queue.add(keeper.uid)
        return keeper

    def _run_probe(self, check: Callable[[], None]) -> None:
        if self._probes is None:
            check()
        elif not self._stop.is_set():
            self._probes.submit(check)

    def _work(self) -> None:
        """Hand out passes, each kind to threads of its own: none must wait for a slower one."""
        with ExitStack() as ending:
            lanes = {
                lane: ending.enter_context(ThreadPoolExecutor(threads, lane.value))
                for lane, threads in LANE_THREADS.items()
            }
            while (uid := self._queue.get()) is not None:
                keeper = self._keepers.get(uid)
                lanes[keeper.lane if keeper is not None else Lane.LOOK].submit(self._pass, uid)

    def _pass(self, uid: str) -> None:
        try:
            if uid == _COMPARE:
                self._queue.add_after(_COMPARE, COMPARE_SECONDS)
                self.look_again()
            elif (keeper := self._keepers.get(uid)) is not None:
                self._tend(keeper)
        except NotKept:
            # Said by the store, once; the disk may have room again soon.
            self._queue.add_after(uid, BUG_SECONDS)
        except Exception:
            # A bug in one replica's pass must not take the others down with it.
            logger.exception("The pass over replica %s failed", uid)
            self._queue.add_after(uid, BUG_SECONDS)
        finally:
            self._queue.done(uid)
            self._saw(uid)

    def _tend(self, keeper: Keeper) -> None:
        wait = keeper.tend()
        if keeper.phase is NodePhase.STOPPED:
            self._finish(keeper)
        elif wait is not None:
            self._queue.add_after(keeper.uid, wait)

    def _saw(self, uid: str) -> None:
        if not self.has_looked.is_set():
            with self._lock:
                self._unseen.discard(uid)
                if not self._unseen:
                    self.has_looked.set()

    def _finish(self, keeper: Keeper) -> None:
        with self._lock:
            # A stop job that came in the meantime is as done as the first.
            jobs = tuple(
                replace(job, outcome=JobOutcome.DONE) if kind == "stop" else job
                for kind, job in keeper.assignment.results.items()
            )
            self._tombstones.bury(replace(keeper.status(), jobs=jobs))
            self._keepers.pop(keeper.uid, None)
        self._changed(keeper.uid)

    def _follow(self, name: str) -> None:
        """Turn a runtime's events into passes; begin again whenever the stream breaks."""
        wait = 0.2
        while not self._stop.is_set():
            try:
                for event in self.runtimes[name].events(self._stop):
                    wait = 0.2
                    if event.kind is EventKind.RESYNC:
                        self._compare(name)
                    elif event.kind is not EventKind.STARTED:
                        self._doubt(event.replica, died=event.kind is EventKind.DIED)
            except RuntimeFailure as failure:
                self.engines.lost(name, failure)
            except Exception:
                # Without this thread the node would never again hear of a death in time.
                logger.exception("Following the events of %s failed", name)
            self._stop.wait(wait)
            wait = min(wait * 2, 2.0)

    def _doubt(self, uid: str, *, died: bool = False) -> None:
        keeper = self._keepers.get(uid)
        if keeper is not None:
            keeper.doubt(died=died)
            if died:
                self.died(uid)
            self._queue.add(uid)

    def _compare(self, name: str) -> None:
        """Look at all of ours in a runtime; unknown containers are leftovers or strangers."""
        try:
            found = {info.name: info for info in self.runtimes[name].list()}
            self.engines.found(name)
        except RuntimeFailure as failure:
            self.engines.lost(name, failure)
            return
        with self._lock:
            self._strangers.keep_only(name, set(found))
            keepers = [k for k in self._keepers.values() if k.assignment.runtime in {"", name}]
        for keeper in keepers:
            if not keeper.agrees(found.get(keeper.name)):
                self._doubt(keeper.uid)
        for info in found.values():
            self._meet(name, info)

    def _meet(self, name: str, info: ContainerInfo) -> None:
        """Remove what a stop job has ended; but if our memory is lost, keep it and tell of it."""
        with self._lock:
            keeper = self._keepers.get(info.replica)
            if keeper is not None and info.name in {keeper.name, keeper.assignment.outdated}:
                return
            has_ended = keeper is not None or info.replica in self._tombstones
            if self._store.was_lost and not has_ended:
                if self._strangers.meet(name, info):
                    self._changed(info.replica)
                return
        reason = "its replica has ended here" if has_ended else "no assignment knows it"
        logger.warning("Removing %s: %s", info.name, reason)
        try:
            self.runtimes[name].remove(info.name)
        except RuntimeFailure as failure:
            logger.warning("Leftover %s could not be removed: %s", info.name, failure)

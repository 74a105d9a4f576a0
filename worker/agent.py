"""The node's agent: takes jobs, keeps the assigned replicas running, and tells what it sees.

A job is stored, then done; doing it is level-triggered: every pass over a replica looks at its
container and does what is due. The control plane may be away for as long as it likes.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from worker.assignments import Assignment, AssignmentStore
from worker.keeper import Keeper, Surroundings
from worker.protocol import (
    Job,
    JobOutcome,
    JobResult,
    NodePhase,
    ReplicaStatus,
    RetryJob,
    StartJob,
    StopJob,
    UpdateJob,
)
from worker.runtimes.base import (
    ContainerInfo,
    ContainerRuntime,
    ContainerState,
    EventKind,
    RuntimeFailure,
)
from worker.workqueue import WorkQueue

logger = logging.getLogger(__name__)

TOMBSTONES = 500
PASS_THREADS = 64
PROBE_THREADS = 16
RESYNC_SECONDS = 30.0
Runtimes = Callable[[], Mapping[str, ContainerRuntime]]


class Agent:
    """Keeps every assigned replica running; `changed` is called with a replica's uid."""

    def __init__(
        self,
        runtimes: Mapping[str, ContainerRuntime],
        store: AssignmentStore,
        changed: Callable[[str], None],
        *,
        start_threads: int = 8,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.runtimes = dict(runtimes)
        self._store = store
        self._changed = changed
        self._clock = clock
        self._lock = threading.RLock()
        self._queue = WorkQueue()
        self._stop = threading.Event()
        self._keepers: dict[str, Keeper] = {}
        self._tombstones: dict[str, ReplicaStatus] = {}
        self._strangers: dict[str, tuple[ContainerRuntime, ContainerInfo]] = {}
        self._starts = threading.Semaphore(start_threads)
        self._probes: ThreadPoolExecutor | None = None
        for assignment in store.load().values():
            self._adopt(assignment)

    def execute(self, jobs: Iterable[Job]) -> None:
        """Take jobs: store what they ask, in one write, then let the passes make it so."""
        touched: dict[str, Keeper] = {}
        with self._lock:
            for job in jobs:
                keeper = self._take(job)
                if keeper is not None:
                    touched[keeper.uid] = keeper
            self._store.save(keeper.assignment for keeper in touched.values())
        for uid in touched:
            self._queue.add(uid)
            self._changed(uid)

    def statuses(self, uids: Iterable[str] | None = None) -> list[ReplicaStatus]:
        """Return the account of some replicas, or of all: assigned, stopped lately, and strange."""
        with self._lock:
            wanted = set(uids) if uids is not None else None
            keepers = [k for uid, k in self._keepers.items() if wanted is None or uid in wanted]
            rest = {**self._tombstones, **self._stranger_statuses()}
            others = [s for uid, s in rest.items() if wanted is None or uid in wanted]
        return [keeper.status() for keeper in keepers] + others

    def runtime_of(self, uid: str) -> tuple[ContainerRuntime, str] | None:
        """Return the runtime and container name of a replica."""
        with self._lock:
            keeper = self._keepers.get(uid)
            if keeper is None:
                return None
            runtime = self.pick_runtime(keeper.assignment.spec.runtime_class)
            return (runtime, keeper.name) if runtime is not None else None

    def pick_runtime(self, runtime_class: str) -> ContainerRuntime | None:
        """Return the runtime of that class; the first one when none is asked for."""
        if runtime_class:
            return self.runtimes.get(runtime_class)
        return next(iter(self.runtimes.values()), None)

    def start(self) -> None:
        """Begin to work: passes, and one event stream per runtime, in threads of their own."""
        self._probes = ThreadPoolExecutor(PROBE_THREADS, "probe")
        threading.Thread(target=self._work, name="passes", daemon=True).start()
        for runtime in self.runtimes.values():
            threading.Thread(
                target=self._follow, args=(runtime,), name=f"events-{runtime.name}", daemon=True
            ).start()

    def close(self) -> None:
        """Stop working; every container runs on."""
        self._stop.set()
        self._queue.close()

    def run_until_idle(self) -> None:
        """Run every pass that is due, here and now (tests, eager mode)."""
        while (uid := self._queue.get(block=False)) is not None:
            self._pass(uid)

    def look_again(self) -> None:
        """Compare what runs with what was assigned; add a pass wherever they differ."""
        for runtime in self.runtimes.values():
            self._compare(runtime)

    def _adopt(self, assignment: Assignment) -> Keeper:
        keeper = Keeper(
            assignment,
            Surroundings(
                runtimes=self.pick_runtime,
                save=lambda item: self._store.save([item]),
                changed=self._changed,
                again=self._queue.add,
                starts=self._starts,
                run_probe=self._run_probe,
                clock=self._clock,
            ),
        )
        self._keepers[keeper.uid] = keeper
        self._queue.add(keeper.uid)
        return keeper

    def _run_probe(self, check: Callable[[], None]) -> None:
        if self._probes is None:
            check()
        else:
            self._probes.submit(check)

    def _take(self, job: Job) -> Keeper | None:
        """Note what a job asks; return the keeper it concerns, None when nothing is left to do."""
        match job:
            case StartJob():
                return self._take_start(job)
            case StopJob():
                return self._take_stop(job)
            case UpdateJob() | RetryJob():
                return self._take_change(job)

    def _take_start(self, job: StartJob) -> Keeper | None:
        uid = job.replica.uid
        if uid in self._tombstones:
            self._changed(uid)
            return None
        keeper = self._keepers.get(uid)
        if keeper is not None:
            if job.replica.epoch < keeper.assignment.spec.epoch:
                return None
            known = keeper.assignment.results.get("start")
            if known is None or known.uid != job.uid:
                outcome = JobOutcome.ACCEPTED
                keeper.assignment.results["start"] = JobResult(uid=job.uid, outcome=outcome)
            return keeper
        self._strangers.pop(uid, None)
        accepted = JobResult(uid=job.uid, outcome=JobOutcome.ACCEPTED)
        return self._adopt(Assignment(spec=job.replica, results={"start": accepted}))

    def _take_stop(self, job: StopJob) -> Keeper | None:
        keeper = self._keepers.get(job.replica)
        if keeper is None:
            self._stop_unknown(job)
            return None
        if job.epoch < keeper.assignment.spec.epoch:
            return None
        keeper.assignment.stop_grace = job.grace_seconds
        known = keeper.assignment.results.get("stop")
        if known is None or known.uid != job.uid:
            accepted = JobResult(uid=job.uid, outcome=JobOutcome.ACCEPTED)
            keeper.assignment.results["stop"] = accepted
        return keeper

    def _stop_unknown(self, job: StopJob) -> None:
        """Answer a stop for what was stopped before, never came, or runs here unknown to us."""
        stranger = self._strangers.pop(job.replica, None)
        if stranger is not None:
            runtime, info = stranger
            try:
                runtime.stop(info.name, job.grace_seconds)
                runtime.remove(info.name)
            except RuntimeFailure as failure:
                logger.warning("Stranger %s could not be stopped: %s", info.name, failure)
                self._strangers[job.replica] = stranger
                return
        self._bury(
            ReplicaStatus(
                uid=job.replica,
                epoch=job.epoch,
                phase=NodePhase.STOPPED,
                reason="Stopped",
                jobs=(JobResult(uid=job.uid, outcome=JobOutcome.DONE),),
            )
        )
        self._changed(job.replica)

    def _take_change(self, job: UpdateJob | RetryJob) -> Keeper | None:
        keeper = self._keepers.get(job.replica)
        if keeper is None or job.epoch < keeper.assignment.spec.epoch:
            return None
        kind = "update" if isinstance(job, UpdateJob) else "retry"
        known = keeper.assignment.results.get(kind)
        if known is not None and known.uid == job.uid:
            return keeper
        if isinstance(job, UpdateJob):
            accepted = JobResult(uid=job.uid, outcome=JobOutcome.ACCEPTED)
            keeper.assignment.results[kind] = accepted
            keeper.ask_update(job.uid, job.resources)
        else:
            done = JobResult(uid=job.uid, outcome=JobOutcome.DONE)
            keeper.assignment.results[kind] = done
            keeper.ask_retry()
        return keeper

    def _work(self) -> None:
        with ThreadPoolExecutor(PASS_THREADS, "pass") as threads:
            while (uid := self._queue.get()) is not None:
                threads.submit(self._pass, uid)

    def _pass(self, uid: str) -> None:
        try:
            keeper = self._keepers.get(uid)
            if keeper is None:
                return
            wait = keeper.tend()
            if keeper.phase is NodePhase.STOPPED:
                self._finish(keeper)
            elif wait is not None:
                self._queue.add_after(uid, wait)
        except Exception:
            # A bug in one replica's pass must not take the others down with it.
            logger.exception("The pass over replica %s failed", uid)
            self._queue.add_after(uid, 5.0)
        finally:
            self._queue.done(uid)

    def _finish(self, keeper: Keeper) -> None:
        with self._lock:
            self._store.forget(keeper.uid)
            self._keepers.pop(keeper.uid, None)
            self._bury(keeper.status())
        self._changed(keeper.uid)

    def _bury(self, status: ReplicaStatus) -> None:
        """Remember the end of a replica for a while: a report about it may be lost."""
        self._tombstones.pop(status.uid, None)
        self._tombstones[status.uid] = status
        while len(self._tombstones) > TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]

    def _follow(self, runtime: ContainerRuntime) -> None:
        """Turn a runtime's events into passes; begin again whenever the stream breaks."""
        wait = 0.2
        while not self._stop.is_set():
            try:
                for event in runtime.events(self._stop):
                    wait = 0.2
                    if event.kind is EventKind.RESYNC:
                        self._compare(runtime)
                    elif event.kind is not EventKind.STARTED:
                        self._queue.add(event.replica)
            except RuntimeFailure as failure:
                logger.warning("Lost the events of %s: %s", runtime.name, failure)
            self._stop.wait(wait)
            wait = min(wait * 2, 2.0)

    def _compare(self, runtime: ContainerRuntime) -> None:
        """Look at all of ours in a runtime; unknown containers are leftovers or strangers."""
        try:
            found = {info.replica: info for info in runtime.list()}
        except RuntimeFailure as failure:
            logger.warning("Cannot list the containers of %s: %s", runtime.name, failure)
            return
        with self._lock:
            keepers = dict(self._keepers)
        for uid in keepers:
            self._queue.add(uid)
        for uid, info in found.items():
            if uid not in keepers:
                self._meet_unknown(runtime, info)

    def _meet_unknown(self, runtime: ContainerRuntime, info: ContainerInfo) -> None:
        """Remove what a stop job has ended; but if our memory is lost, keep it and tell of it."""
        with self._lock:
            if info.replica in self._keepers:
                return
            if self._store.was_lost:
                self._strangers[info.replica] = (runtime, info)
                self._changed(info.replica)
                return
        logger.warning("Removing %s: no assignment knows it", info.name)
        try:
            runtime.remove(info.name)
        except RuntimeFailure as failure:
            logger.warning("Leftover %s could not be removed: %s", info.name, failure)

    def _stranger_statuses(self) -> dict[str, ReplicaStatus]:
        return {
            uid: ReplicaStatus(
                uid=info.replica,
                epoch=info.epoch,
                phase=NodePhase.RUNNING,
                reason="Unassigned",
                message="it runs here, but this node has lost its list of assignments",
                container_id=info.id,
            )
            for uid, (_, info) in self._strangers.items()
            if info.state is ContainerState.RUNNING
        }

"""Keep one assigned replica running: look, do what is due, say when to look again.

A pass is safe to repeat at any moment and never runs twice at once for one replica (the agent's
work queue sees to that). Restarts happen here, in place, also while the control plane is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from worker import backoff, deaths, labels
from worker.assignments import Assignment
from worker.health import Health
from worker.outcomes import Outcomes
from worker.protocol import NodePhase, ReplicaSpec, ReplicaStatus
from worker.pulling import Pull
from worker.runtimes.base import (
    ContainerInfo,
    ContainerRuntime,
    ContainerState,
    FailureReason,
    RuntimeFailure,
)

SHORTEST_RETRY_SECONDS = 1.0
ENGINE_DOWN_SECONDS = 5.0
_PASSING = frozenset({"Accepted", "Pulling", "Starting", "Stopping"})
_ORDER = {phase: rank for rank, phase in enumerate(NodePhase)}


class Lane(StrEnum):
    """What a pass may have to wait for: a grace, an image or the engine, nothing."""

    STOP = "stop"
    LOOK = "look"
    WATCH = "watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a keeper needs of the agent: the runtimes, saving, and a limit on starts at once.

    `pin` returns the runtime of an assignment, noting there which one it is. `changed` has a
    replica reported at once, `passing` where a better account will follow soon. `took_along` tells
    whether what ended at a moment may have ended with its runtime.
    """

    pin: Callable[[Assignment], ContainerRuntime | None]
    save: Callable[[Assignment], None]
    changed: Callable[[str], None]
    passing: Callable[[str], None]
    again: Callable[[str], None]
    starts: threading.Semaphore
    run_probe: Callable[[Callable[[], None]], None]
    took_along: Callable[[str, float], bool]
    clock: Callable[[], float] = time.time


class Keeper:
    """The state of one replica on this node, and the pass that moves it on."""

    def __init__(self, assignment: Assignment, surroundings: Surroundings) -> None:
        self.assignment = assignment
        # What ran before the agent's restart runs still, as far as anybody knows.
        self.phase = NodePhase.RUNNING if assignment.has_run else NodePhase.ACCEPTED
        self._around = surroundings
        self._reason, self._message, self._note = "Accepted", "", ""
        self._info: ContainerInfo | None = None
        # Whether `_info` can be believed; events and comparisons raise the doubt.
        self._is_sure = False
        # Whether it was told or seen to have ended: an engine that is away may know no more.
        self._is_told_dead = False
        self._with_engine = ""
        self._has_crashed = assignment.next_try_at is not None
        self._was_ready = False
        self._started_at: float | None = None
        self._kill_reason: tuple[str, str] | None = None
        self.outcomes = Outcomes(assignment, self._save)
        self._health: Health | None = None
        self._pull: Pull | None = None

    @property
    def uid(self) -> str:
        """Return the replica's uid."""
        return self.assignment.spec.uid

    @property
    def name(self) -> str:
        """Return the container's name."""
        return labels.container_name(self.assignment.spec.uid, self.assignment.spec.epoch)

    @property
    def lane(self) -> Lane:
        """Return what the next pass may have to wait for, as far as can be told before it."""
        if self.assignment.stop_grace is not None:
            return Lane.STOP
        if self._info is None or not self._is_sure:
            return Lane.LOOK
        return Lane.WATCH

    def ask_stop(self, grace: int) -> None:
        """Have the container ended by the next pass, which a pull does not hold up."""
        self.assignment.stop_grace = grace
        if (pull := self._pull) is not None:
            pull.abandon()

    def ask_retry(self) -> None:
        """Forget the back-off."""
        self.assignment.failures = 0
        self.assignment.next_try_at = None

    def ask_epoch(self, spec: ReplicaSpec) -> None:
        """Have the replica run as a later epoch; the earlier container goes first."""
        self.assignment.outdated = self.name
        self.assignment.spec = spec
        self._info = self._health = None
        self._is_sure = False

    def doubt(self, *, died: bool = False) -> None:
        """Have the next pass look at the container itself; until then a dead one is not ready."""
        self._is_sure = False
        self._is_told_dead = self._is_told_dead or died

    def agrees(self, seen: ContainerInfo | None) -> bool:
        """Tell whether what was seen is what this keeper takes for running."""
        if seen is None or seen.state is not ContainerState.RUNNING or not self._is_sure:
            return False
        return self._info is not None and self._info.id == seen.id

    def tend(self) -> float | None:
        """Run one pass; return seconds until the next is due, None when only events matter."""
        runtime = self._around.pin(self.assignment)
        if runtime is None:
            return self._lacks_runtime()
        try:
            if self.assignment.outdated:
                self._remove_outdated(runtime)
            if self.assignment.stop_grace is not None:
                self._stop(runtime, self.assignment.stop_grace)
                return None
            return self._keep(runtime)
        except RuntimeFailure as failure:
            return self._failed(failure)

    def status(self) -> ReplicaStatus:
        """Return the account of this replica that goes into reports."""
        info = self._info
        return ReplicaStatus(
            uid=self.assignment.spec.uid,
            epoch=self.assignment.spec.epoch,
            phase=self.phase,
            ready=self._is_ready(),
            reason=self._reason,
            message=self._message,
            restarts=self.assignment.restarts,
            started_at=self._started_at,
            next_try_at=self.assignment.next_try_at,
            container_id=info.id if info else "",
            address=info.address if info else "",
            ports=info.ports if info else (),
            resources=self.assignment.spec.container.resources,
            note=self._note,
            death=self.assignment.death,
            jobs=tuple(self.assignment.results.values()),
        )

    def _is_ready(self) -> bool:
        """Ready is what runs, has passed its probes, and is not being ended by us."""
        ending = self._kill_reason is not None or self.assignment.stop_grace is not None
        ending = ending or self._is_told_dead
        running = self._info is not None and self._info.state is ContainerState.RUNNING
        return running and not ending and self._health is not None and self._health.is_ready

    def _keep(self, runtime: ContainerRuntime) -> float | None:
        info = self._look(runtime)
        if info is not None and info.state is ContainerState.RUNNING:
            if self._kill_reason is not None:
                return self._kill(runtime)
            return self._watch(runtime, info)
        if info is not None and info.state is ContainerState.EXITED:
            if info.id != self.assignment.buried:
                self._bury(runtime, info)
        elif info is None and self._info is not None:
            self._count_failure("Removed", "its container was removed from outside")
        wait = self._back_off()
        return wait if wait > 0 else self._start(runtime, is_in_the_way=info is not None)

    def _look(self, runtime: ContainerRuntime) -> ContainerInfo | None:
        """Return the container; the engine is asked only when there is a reason for doubt."""
        if self._is_sure and self._info is not None:
            return self._info
        # Before the look, so that a doubt that comes during it leads to another.
        self._is_sure = True
        found = runtime.inspect(self.name)
        self._is_told_dead = found is None or found.state is not ContainerState.RUNNING
        return found

    def _watch(self, runtime: ContainerRuntime, info: ContainerInfo) -> float | None:
        """The container runs: note it, apply new limits, ask the probes that are due."""
        if self._info is None or self._info.id != info.id or self._health is None:
            self._health = self._new_health(info)
            self._started_at = info.started_at
        self._info, self._note = info, info.note or self._note
        self.assignment.next_try_at, self._has_crashed = None, False
        if not self.assignment.has_run:
            self.assignment.has_run = True
            self._around.save(self.assignment)
        self.outcomes.finish("start")
        changed = self.outcomes.apply_update(runtime, self.name)
        self._note = self._note if changed is None else changed
        verdict = self._health.verdict()
        if verdict is not None:
            self._kill_reason = verdict
            return self._kill(runtime)
        reason, message = self._health.describe()
        self._set(NodePhase.RUNNING, reason, message or self._with_engine)
        self._remember_ready(info)
        return self._health.ask(runtime, info, self._around.run_probe, self._tell_again)

    def _new_health(self, info: ContainerInfo) -> Health:
        age = max(0.0, self._around.clock() - info.started_at) if info.started_at else 0.0
        was_ready = self.assignment.ready_id == info.id
        return Health(self.assignment.spec.container, age=age, was_ready=was_ready)

    def _remember_ready(self, info: ContainerInfo) -> None:
        """Keep on disk which container was ready: an agent's restart must not unready it."""
        container = self.assignment.spec.container
        if container.readiness_probe is None and container.startup_probe is None:
            return
        ready_id = info.id if self._is_ready() else ""
        if ready_id != self.assignment.ready_id:
            self.assignment.ready_id = ready_id
            self._around.save(self.assignment)

    def _tell_again(self) -> None:
        self._around.again(self.uid)

    def _kill(self, runtime: ContainerRuntime) -> float | None:
        """A probe has given up on the container: end it; the next look restarts it."""
        grace = self.assignment.spec.grace_seconds
        if self._health is not None and self._health.grace_seconds is not None:
            grace = self._health.grace_seconds
        self._set(NodePhase.RUNNING, *(self._kill_reason or ("Killed", "")))
        self.doubt()
        runtime.stop(self.name, grace)
        return 0.0

    def _bury(self, runtime: ContainerRuntime, info: ContainerInfo) -> None:
        """The container has ended: keep what it said last, and count it once.

        It is removed by the next start only: until then its log can still be read.
        """
        self.assignment.death = deaths.look_back(runtime, info, now=self._around.clock())
        self.assignment.buried = info.id
        ended_at = info.finished_at or self._around.clock()
        was_taken = self._around.took_along(self.assignment.runtime, ended_at)
        self._with_engine = deaths.WITH_ENGINE if was_taken else ""
        reason, message = self._kill_reason or deaths.explain(info, with_engine=was_taken)
        self._kill_reason = None
        ran = (info.finished_at or 0.0) - (info.started_at or 0.0)
        if backoff.is_forgotten(ran):
            self.assignment.failures = 0
        self._count_failure(reason, message)

    def _count_failure(self, reason: str, message: str) -> None:
        self._info = self._health = None
        self.assignment.failures += 1
        self.assignment.restarts += 1
        wait = backoff.delay_seconds(self.assignment.failures)
        self.assignment.next_try_at, self._has_crashed = self._around.clock() + wait, True
        self._around.save(self.assignment)
        self._set(self.phase, reason, message)

    def _back_off(self) -> float:
        """Return how long to wait before the next try."""
        if self.assignment.next_try_at is None:
            return 0.0
        wait = self.assignment.next_try_at - self._around.clock()
        if wait > 0 and self._has_crashed and self._reason != "CrashLoopBackOff":
            because = f"{self._reason}: {self._message}" if self._message else self._reason
            seconds = backoff.delay_seconds(self.assignment.failures)
            again = f"{because}; tried again after {seconds:.0f} s"
            self._set(self.phase, "CrashLoopBackOff", again)
        return wait

    def _start(self, runtime: ContainerRuntime, *, is_in_the_way: bool) -> float | None:
        self._advance(NodePhase.PULLING)
        if not self._fetch_image(runtime):
            return 0.0
        self._advance(NodePhase.STARTING)
        self._set(self.phase, "Starting", "")
        with self._around.starts:
            if self.assignment.stop_grace is not None:
                return 0.0
            if is_in_the_way:
                runtime.remove(self.name)
            # A death that is told while the start returns must lead to another look.
            self._is_sure, self._is_told_dead = True, False
            info = runtime.start(self.assignment.spec)
        return self._watch(runtime, info)

    def _fetch_image(self, runtime: ContainerRuntime) -> bool:
        pull = self._pull = Pull(runtime, self.assignment.spec.container)
        try:
            # A stop that came before the pull was there to be abandoned.
            if self.assignment.stop_grace is not None:
                return False
            return pull.run(lambda sentence: self._set(self.phase, "Pulling", sentence))
        finally:
            self._pull = None

    def _failed(self, failure: RuntimeFailure) -> float:
        """A runtime call failed: try again later, however hopeless it looks from here."""
        self.doubt()
        self._set(self.phase, failure.reason, str(failure))
        if self.assignment.stop_grace is not None:
            return SHORTEST_RETRY_SECONDS
        if failure.reason is FailureReason.ENGINE_DOWN:
            # Its return is told by the event stream; this is for want of one.
            return ENGINE_DOWN_SECONDS
        self.assignment.failures += 1
        wait = max(SHORTEST_RETRY_SECONDS, backoff.delay_seconds(self.assignment.failures))
        self.assignment.next_try_at, self._has_crashed = self._around.clock() + wait, False
        self._around.changed(self.uid)
        return wait

    def _stop(self, runtime: ContainerRuntime, grace: int) -> None:
        self._set(NodePhase.STOPPING, "Stopping", "")
        self.doubt()
        runtime.stop(self.name, grace)
        info = runtime.inspect(self.name)
        if info is not None:
            if info.state is ContainerState.EXITED and info.id != self.assignment.buried:
                self.assignment.death = deaths.look_back(runtime, info, now=self._around.clock())
            runtime.remove(self.name)
        self._info = self._health = None
        self.assignment.next_try_at = None
        self.outcomes.finish("stop")
        self._set(NodePhase.STOPPED, "Stopped", "")

    def _remove_outdated(self, runtime: ContainerRuntime) -> None:
        runtime.stop(self.assignment.outdated, self.assignment.spec.grace_seconds)
        runtime.remove(self.assignment.outdated)
        self.assignment.outdated = ""
        self._around.save(self.assignment)

    def _lacks_runtime(self) -> float | None:
        wanted = self.assignment.runtime or self.assignment.spec.runtime_class or "container"
        message = f"this node has no usable {wanted} runtime; "
        if self.assignment.stop_grace is None:
            message += "choose another runtimeClassName or node"
        elif self.assignment.has_run:
            # Saying that it is stopped would orphan a container that may well be running.
            message += "the container cannot be stopped until the node offers it again"
        else:
            self.outcomes.finish("stop")
            self._set(NodePhase.STOPPED, "Stopped", "")
            return None
        self._set(self.phase, FailureReason.UNSUPPORTED, message)
        return ENGINE_DOWN_SECONDS

    def _save(self) -> None:
        self._around.save(self.assignment)
        self._around.changed(self.uid)

    def _advance(self, phase: NodePhase) -> None:
        """Move forward; a restart in place stays where it is."""
        if _ORDER[phase] > _ORDER[self.phase]:
            self._set(phase, self._reason, self._message)

    def _set(self, phase: NodePhase, reason: str, message: str) -> None:
        before = (self.phase, self._reason, self._message, self._was_ready)
        if _ORDER[phase] >= _ORDER[self.phase]:
            self.phase = phase
        self._reason, self._message = str(reason), message
        self._was_ready = self._is_ready()
        if before != (self.phase, self._reason, self._message, self._was_ready):
            tell = self._around.passing if self._reason in _PASSING else self._around.changed
            tell(self.uid)

"""Keep one assigned replica running: look, do what is due, say when to look again.

A pass is safe to repeat at any moment and never runs twice at once for one replica (the agent's
work queue sees to that). Restarts happen here, in place, also while the control plane is away.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from worker import backoff, labels
from worker.assignments import Assignment
from worker.health import Health
from worker.protocol import (
    JobOutcome,
    JobResult,
    JobUid,
    LatestDeath,
    NodePhase,
    ReplicaStatus,
    Resources,
)
from worker.runtimes.base import (
    ContainerInfo,
    ContainerRuntime,
    ContainerState,
    FailureReason,
    RuntimeFailure,
)

LOG_LINES = 200
LOG_BYTES = 64 * 1024
_ORDER = {phase: rank for rank, phase in enumerate(NodePhase)}


class PullAbandoned(Exception):
    """The replica is to stop; its image is not needed any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a keeper needs of the agent: the runtimes, saving, and a limit on starts at once."""

    runtimes: Callable[[str], ContainerRuntime | None]
    save: Callable[[Assignment], None]
    changed: Callable[[str], None]
    again: Callable[[str], None]
    starts: threading.Semaphore
    run_probe: Callable[[Callable[[], None]], None]
    clock: Callable[[], float] = time.time


class Keeper:
    """The state of one replica on this node, and the pass that moves it on."""

    def __init__(self, assignment: Assignment, surroundings: Surroundings) -> None:
        self.assignment = assignment
        self.phase = NodePhase.ACCEPTED
        self._around = surroundings
        self._reason, self._message, self._note = "Accepted", "", ""
        self._info: ContainerInfo | None = None
        self._next_try_at: float | None = None
        self._started_at: float | None = None
        self._kill_reason: tuple[str, str] | None = None
        self._update: tuple[JobUid, Resources] | None = None
        self._health: Health | None = None

    @property
    def uid(self) -> str:
        """Return the replica's uid."""
        return self.assignment.spec.uid

    @property
    def name(self) -> str:
        """Return the container's name."""
        return labels.container_name(self.assignment.spec.uid, self.assignment.spec.epoch)

    def ask_update(self, job: JobUid, resources: Resources) -> None:
        """Have the limits changed by the next pass."""
        container = replace(self.assignment.spec.container, resources=resources)
        self.assignment.spec = replace(self.assignment.spec, containers=(container,))
        self._update = (job, resources)

    def ask_retry(self) -> None:
        """Forget the back-off."""
        self.assignment.failures = 0
        self._next_try_at = None

    def tend(self) -> float | None:
        """Run one pass; return seconds until the next is due, None when only events matter."""
        runtime = self._around.runtimes(self.assignment.spec.runtime_class)
        if runtime is None:
            return self._lacks_runtime()
        try:
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
            next_try_at=self._next_try_at,
            container_id=info.id if info else "",
            address=info.address if info else "",
            ports=info.ports if info else (),
            resources=self.assignment.spec.container.resources,
            note=self._note,
            death=self.assignment.death,
            jobs=tuple(self.assignment.results.values()),
        )

    def _is_ready(self) -> bool:
        running = self._info is not None and self._info.state is ContainerState.RUNNING
        return running and self._health is not None and self._health.is_ready

    def _keep(self, runtime: ContainerRuntime) -> float | None:
        info = runtime.inspect(self.name)
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
        return wait if wait > 0 else self._start(runtime)

    def _watch(self, runtime: ContainerRuntime, info: ContainerInfo) -> float | None:
        """The container runs: note it, apply new limits, ask the probes that are due."""
        if self._info is None or self._info.id != info.id:
            self._health = Health(self.assignment.spec.container)
            self._started_at = info.started_at
        self._info, self._note = info, info.note or self._note
        self._next_try_at = None
        if not self.assignment.has_run:
            self.assignment.has_run = True
            self._around.save(self.assignment)
        self._finish_job("start")
        self._apply_update(runtime)
        health = self._health or Health(self.assignment.spec.container)
        verdict = health.verdict()
        if verdict is not None:
            self._kill_reason = verdict
            return self._kill(runtime)
        self._set(NodePhase.RUNNING, *health.describe())
        return health.ask(runtime, info, self._around.run_probe, self._tell_again)

    def _tell_again(self) -> None:
        self._around.again(self.uid)

    def _kill(self, runtime: ContainerRuntime) -> float | None:
        """A probe has given up on the container: end it; the next look restarts it."""
        grace = self.assignment.spec.grace_seconds
        if self._health is not None and self._health.grace_seconds is not None:
            grace = self._health.grace_seconds
        self._set(NodePhase.RUNNING, *(self._kill_reason or ("Killed", "")))
        runtime.stop(self.name, grace)
        return 0.0

    def _bury(self, runtime: ContainerRuntime, info: ContainerInfo) -> None:
        """The container has ended: keep what it said last and count it, once."""
        self._keep_death(runtime, info)
        reason, message = self._kill_reason or _ending(info)
        self._kill_reason = None
        ran = (info.finished_at or 0.0) - (info.started_at or 0.0)
        if backoff.is_forgotten(ran):
            self.assignment.failures = 0
        self.assignment.buried = info.id
        self._count_failure(reason, message)

    def _keep_death(self, runtime: ContainerRuntime, info: ContainerInfo) -> None:
        lines = runtime.logs(self.name, tail=LOG_LINES, follow=False, stop=threading.Event())
        self.assignment.death = LatestDeath(
            finished_at=info.finished_at or self._around.clock(),
            exit_code=info.exit_code,
            oom_killed=info.oom_killed,
            log_tail="\n".join(line.text for line in lines)[-LOG_BYTES:],
        )

    def _count_failure(self, reason: str, message: str) -> None:
        self._info = self._health = None
        self.assignment.failures += 1
        self.assignment.restarts += 1
        self._next_try_at = self._around.clock() + backoff.delay_seconds(self.assignment.failures)
        self._around.save(self.assignment)
        self._set(self.phase, reason, message)

    def _back_off(self) -> float:
        """Return how long to wait before the next try."""
        if self._next_try_at is None:
            return 0.0
        wait = self._next_try_at - self._around.clock()
        if wait > 0 and self.assignment.failures > 1 and self._reason != "CrashLoopBackOff":
            because = f"{self._reason}: {self._message}" if self._message else self._reason
            seconds = backoff.delay_seconds(self.assignment.failures)
            again = f"{because}; tried again after {seconds:.0f} s"
            self._set(self.phase, "CrashLoopBackOff", again)
        return wait

    def _start(self, runtime: ContainerRuntime) -> float:
        container = self.assignment.spec.container
        self._advance(NodePhase.PULLING)
        try:
            runtime.pull(container, self._on_progress)
        except PullAbandoned:
            return 0.0
        self._advance(NodePhase.STARTING)
        self._set(self.phase, "Starting", "")
        with self._around.starts:
            if self.assignment.stop_grace is not None:
                return 0.0
            info = runtime.start(self.assignment.spec)
        self._next_try_at = None
        self._watch(runtime, info)
        return 0.0

    def _on_progress(self, sentence: str) -> None:
        if self.assignment.stop_grace is not None:
            raise PullAbandoned
        self._set(self.phase, "Pulling", sentence)

    def _failed(self, failure: RuntimeFailure) -> float:
        """A runtime call failed: try again later, however hopeless it looks from here."""
        if self.assignment.stop_grace is not None or failure.reason is FailureReason.ENGINE_DOWN:
            self._set(self.phase, failure.reason, str(failure))
            return 1.0
        self.assignment.failures += 1
        wait = max(1.0, backoff.delay_seconds(self.assignment.failures))
        self._next_try_at = self._around.clock() + wait
        self._set(self.phase, failure.reason, str(failure))
        return wait

    def _stop(self, runtime: ContainerRuntime, grace: int) -> None:
        self._set(NodePhase.STOPPING, "Stopping", "")
        runtime.stop(self.name, grace)
        info = runtime.inspect(self.name)
        if info is not None:
            if info.state is ContainerState.EXITED:
                self._keep_death(runtime, info)
            runtime.remove(self.name)
        self._info = self._health = None
        self._next_try_at = None
        self._finish_job("stop")
        self._set(NodePhase.STOPPED, "Stopped", "")

    def _apply_update(self, runtime: ContainerRuntime) -> None:
        if self._update is None:
            return
        job, resources = self._update
        self._update = None
        try:
            self._note = runtime.update(self.name, resources)
            result = JobResult(uid=job, outcome=JobOutcome.DONE, message=self._note)
        except RuntimeFailure as failure:
            result = JobResult(uid=job, outcome=JobOutcome.FAILED, message=str(failure))
        self.assignment.results["update"] = result
        self._around.save(self.assignment)
        self._around.changed(self.uid)

    def _finish_job(self, kind: str) -> None:
        result = self.assignment.results.get(kind)
        if result is not None and result.outcome is JobOutcome.ACCEPTED:
            done = JobResult(uid=result.uid, outcome=JobOutcome.DONE)
            self.assignment.results[kind] = done
            self._around.save(self.assignment)
            self._around.changed(self.uid)

    def _lacks_runtime(self) -> float | None:
        wanted = self.assignment.spec.runtime_class or "container"
        if self.assignment.stop_grace is not None:
            self._finish_job("stop")
            self._set(NodePhase.STOPPED, "Stopped", "")
            return None
        message = (
            f"this node has no usable {wanted} runtime; choose another runtimeClassName or node"
        )
        self._set(self.phase, FailureReason.UNSUPPORTED, message)
        return 5.0

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
            self._around.changed(self.uid)

    _was_ready = False


def _ending(info: ContainerInfo) -> tuple[str, str]:
    if info.oom_killed:
        return "OOMKilled", "it used more memory than its limit"
    code = info.exit_code
    if code == 0:
        return "Completed", "it exited with 0, but is to be kept running"
    if code in {126, 127}:
        return (
            "CommandNotFound",
            f"it exited with {code}: check command and args; the log says more",
        )
    if code is not None and code > 128:
        return "Error", f"it was ended by signal {code - 128}"
    return "Error", f"it exited with {code}"

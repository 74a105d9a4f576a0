"""Size the next step of a rollout: how many replicas each revision should have now.

The arithmetic is Kubernetes' (`rolling.go`, `recreate.go`), on desired counts. A step never takes
availability below `replicas - max_unavailable` and never asks for more than `replicas + max_surge`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core.plan import Reason, ScaleRevision
from orchestrator.core.spec import DeploymentSpec, Strategy
from orchestrator.core.wording import be, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Desired and available replicas by revision number, oldest first; `current` is the goal.

    Available ones are as observed. A revision made smaller keeps those that serve for longest,
    because the kill order takes the others first: so never more serve than are desired.
    """

    current: int
    desired: Mapping[int, int]
    available: Mapping[int, int]

    @property
    def total(self) -> int:
        """Return how many replicas all revisions together should have."""
        return sum(self.desired.values())

    @property
    def active(self) -> tuple[int, ...]:
        """Return the revisions that should have replicas."""
        return tuple(revision for revision, desired in self.desired.items() if desired)

    @property
    def active_old(self) -> tuple[int, ...]:
        """Return the active revisions other than the current one."""
        return tuple(revision for revision in self.active if revision != self.current)

    @property
    def all_available(self) -> int:
        """Return how many replicas serve, over all revisions."""
        return sum(self.available_of(revision) for revision in self.desired)

    def available_of(self, revision: int) -> int:
        """Return how many replicas of the revision serve and are to stay."""
        return min(self.available[revision], self.desired[revision])

    def after(self, steps: Sequence[ScaleRevision]) -> Counts:
        """Return the counts once the steps are taken."""
        changed = {step.revision: step.desired for step in steps}
        return replace(self, desired={**self.desired, **changed})


def next_steps(
    counts: Counts, spec: DeploymentSpec, *, old_are_gone: bool
) -> tuple[ScaleRevision, ...]:
    """Return the next changes of one kind, or none when the rollout has to wait or is done.

    `old_are_gone` tells that nothing of an older revision runs any more, not even stopping.
    """
    if spec.policy.strategy is Strategy.RECREATE:
        return _recreate(counts, spec, old_are_gone=old_are_gone)
    return (
        _resize_new(counts, spec)
        or tuple(_remove_unavailable_old(counts, spec))
        or tuple(_retire_old(counts, spec))
    )


def _recreate(
    counts: Counts, spec: DeploymentSpec, *, old_are_gone: bool
) -> tuple[ScaleRevision, ...]:
    if counts.active_old:
        why = "every old replica stops before a new one starts"
        return tuple(
            _step(revision, 0, Reason.RECREATE_STOP, why) for revision in counts.active_old
        )
    if not old_are_gone or counts.desired[counts.current] == spec.replicas:
        return ()
    why = f"no old replica is left and {spec.replicas} {be(spec.replicas)} wanted"
    return (_step(counts.current, spec.replicas, _direction(counts, spec), why),)


def _resize_new(counts: Counts, spec: DeploymentSpec) -> tuple[ScaleRevision, ...]:
    desired = counts.desired[counts.current]
    if desired > spec.replicas:
        why = f"only {spec.replicas} {be(spec.replicas)} wanted"
        return (_step(counts.current, spec.replicas, Reason.SCALE_DOWN, why),)
    most = spec.replicas + spec.policy.max_surge
    added = min(most - counts.total, spec.replicas - desired)
    if added <= 0:
        return ()
    if not counts.active_old:
        why = f"{spec.replicas} {be(spec.replicas)} wanted"
        return (_step(counts.current, desired + added, Reason.SCALE_UP, why),)
    old = counts.total - desired
    remain = "remains" if old == 1 else "remain"
    why = f"{spec.replicas} {be(spec.replicas)} wanted, {count(old, 'old replica')} {remain}"
    why = f"{why} and at most {most} may exist at once"
    return (_step(counts.current, desired + added, Reason.ROLLOUT_SURGE, why),)


def _remove_unavailable_old(counts: Counts, spec: DeploymentSpec) -> Iterator[ScaleRevision]:
    # New replicas that do not serve are subtracted because they may never serve. With 10 replicas,
    # 2 unavailable and 3 surge, a crash-looping revision gets stuck at old 8, new 5. When an old
    # replica dies then: 13 - 8 - 5 = 0, so old ones are not shrunk any further. When somebody goes
    # back instead, the good revision is the new one: 13 - 8 - 1 = 4 crash-loopers may go.
    current = counts.current
    floor = floor_of(spec)
    not_serving = counts.desired[current] - counts.available_of(current)
    budget = counts.total - floor - not_serving
    for revision in counts.active_old:
        desired = counts.desired[revision]
        idle = desired - counts.available_of(revision)
        removed = min(budget, idle)
        if removed <= 0:
            continue
        budget -= removed
        why = (
            f"{idle} of its replicas {be(idle)} not available, so removing {removed} costs nothing"
        )
        yield _step(revision, desired - removed, Reason.REMOVE_UNHEALTHY, why)


def _retire_old(counts: Counts, spec: DeploymentSpec) -> Iterator[ScaleRevision]:
    current = counts.current
    floor = floor_of(spec)
    not_serving = counts.desired[current] - counts.available_of(current)
    if counts.total - floor - not_serving <= 0:
        return
    serving = counts.all_available
    budget = serving - floor
    for revision in counts.active_old:
        desired = counts.desired[revision]
        removed = min(budget, desired)
        if removed <= 0:
            continue
        budget -= removed
        why = f"{count(serving, 'replica')} {be(serving)} available and {floor} must stay so"
        yield _step(revision, desired - removed, Reason.ROLLOUT_RETIRE, why)


def floor_of(spec: DeploymentSpec) -> int:
    """Return how many replicas must go on serving, as far as it is up to us."""
    return max(0, spec.replicas - spec.policy.max_unavailable)


def _direction(counts: Counts, spec: DeploymentSpec) -> Reason:
    grows = counts.desired[counts.current] < spec.replicas
    return Reason.SCALE_UP if grows else Reason.SCALE_DOWN


def _step(revision: int, desired: int, reason: Reason, why: str) -> ScaleRevision:
    message = f"revision {revision} should now have {count(desired, 'replica')}: {why}"
    return ScaleRevision(revision=revision, desired=desired, reason=reason, message=message)

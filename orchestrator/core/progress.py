"""Follow a rollout: whether it moves, is done, is held, or has missed its deadline.

The clock runs only while a rollout is in flight: not while paused, never after completion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.core.classify import Census
from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.plan import CompleteRollout, FailRollout, Reason
from orchestrator.core.snapshot import RevisionView, RolloutView, Snapshot
from orchestrator.core.spec import DeploymentSpec, OnFailure
from orchestrator.core.wording import be, count


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What a rollout has reached: replicas of the current and old revisions, and who serves."""

    updated: int
    old: int
    ready: int
    available: int


def advance(snapshot: Snapshot, census: Census) -> RolloutView:
    """Return the rollout as this pass finds it, before any action (completion comes after)."""
    before = snapshot.rollout
    reached = _reached(snapshot, census)
    moved = _has_moved(before, reached)
    view = _remembering(before, reached)
    if before.state is RolloutState.COMPLETE:
        return replace(view, available=_best(snapshot.spec, before, reached))
    if snapshot.spec.paused:
        return replace(view, state=RolloutState.PAUSED)
    if before.state is RolloutState.PAUSED or (moved and not is_held(before, snapshot.spec)):
        return replace(view, state=RolloutState.PROGRESSING, progressed_at=snapshot.now)
    if before.state is RolloutState.PROGRESSING and _deadline(view, snapshot.spec) < snapshot.now:
        return replace(view, state=RolloutState.DEADLINE_EXCEEDED)
    return view


def is_held(rollout: RolloutView, spec: DeploymentSpec) -> bool:
    """Tell whether no revision may give way to another now: paused, or failed and left so."""
    failed = rollout.state is RolloutState.DEADLINE_EXCEEDED
    return spec.paused or (failed and spec.on_failure is not OnFailure.NONE)


def is_complete(snapshot: Snapshot, census: Census) -> bool:
    """Tell whether every wanted replica is there, of the current revision, and available."""
    wanted = snapshot.spec.replicas
    updated = len(census.live[snapshot.current])
    return updated == census.total == census.available_of(snapshot.current) == wanted


def completion(snapshot: Snapshot) -> CompleteRollout | None:
    """Return the action that writes a first completion down, or None when that has been done."""
    current = _current(snapshot)
    if snapshot.rollout.state is RolloutState.COMPLETE and current.completed:
        return None
    wanted = snapshot.spec.replicas
    all_of_it = "its 1 replica" if wanted == 1 else f"all {wanted} replicas"
    how = f"{all_of_it} {be(wanted)} of it and available"
    return CompleteRollout(
        revision=current.number,
        reason=Reason.COMPLETE,
        message=f"the rollout to revision {current.number} is complete: {how}",
    )


def failure(snapshot: Snapshot, census: Census) -> FailRollout:
    """Return the action for a missed deadline: go back, hold, or only say so."""
    spec, current = snapshot.spec, _current(snapshot)
    target = _rollback_target(snapshot)
    available = census.available_of(current.number)
    facts = (
        f"revision {current.number} made no progress for {spec.progress_deadline_seconds} s with "
        f"{available} of {count(spec.replicas, 'replica')} available"
    )
    return FailRollout(
        revision=current.number,
        rollback_to=target.number if target else None,
        pause=target is None and spec.on_failure is not OnFailure.NONE,
        reason=Reason.DEADLINE,
        message=f"{facts}; {_consequence(snapshot, target)}",
    )


def deadline_wake(rollout: RolloutView, spec: DeploymentSpec) -> datetime | None:
    """Return when the deadline will have passed unless something moves, or None if none runs."""
    if rollout.state is not RolloutState.PROGRESSING:
        return None
    return _deadline(rollout, spec) + timedelta(seconds=1)


def _reached(snapshot: Snapshot, census: Census) -> Reached:
    updated = len(census.live[snapshot.current])
    return Reached(
        updated=updated,
        old=census.total - updated,
        ready=census.ready,
        available=len(census.available),
    )


def _has_moved(before: RolloutView, reached: Reached) -> bool:
    return (
        reached.updated > before.updated
        or reached.old < before.old
        or reached.ready > before.ready
        or reached.available > before.available
    )


def _remembering(before: RolloutView, reached: Reached) -> RolloutView:
    # With the same replicas as before the best counts stay, so that one which comes and goes in
    # a crash loop is progress once, not each time it comes.
    same = (reached.updated, reached.old) == (before.updated, before.old)
    return replace(
        before,
        updated=reached.updated,
        old=reached.old,
        ready=max(reached.ready, before.ready) if same else reached.ready,
        available=max(reached.available, before.available) if same else reached.available,
    )


def _best(spec: DeploymentSpec, before: RolloutView, reached: Reached) -> int:
    """Return how many have served since completion: fewer now means degraded, not scaling up."""
    return min(spec.replicas, max(before.available, reached.available))


def _deadline(rollout: RolloutView, spec: DeploymentSpec) -> datetime:
    return rollout.progressed_at + timedelta(seconds=spec.progress_deadline_seconds)


def _current(snapshot: Snapshot) -> RevisionView:
    return next(view for view in snapshot.revisions if view.number == snapshot.current)


def _rollback_target(snapshot: Snapshot) -> RevisionView | None:
    if snapshot.spec.on_failure is not OnFailure.ROLLBACK or _current(snapshot).is_rollback:
        return None
    return latest_completed(snapshot)


def latest_completed(snapshot: Snapshot) -> RevisionView | None:
    """Return the latest revision before the current one whose rollout has completed, if any."""
    completed = [
        view for view in snapshot.revisions if view.completed and view.number != snapshot.current
    ]
    return max(completed, key=lambda view: view.number, default=None)


def _consequence(snapshot: Snapshot, target: RevisionView | None) -> str:
    if target is not None:
        return f"going back to revision {target.number}"
    if snapshot.spec.on_failure is OnFailure.NONE:
        return "trying on, as on-failure is none"
    if snapshot.spec.on_failure is OnFailure.PAUSE:
        return "the rollout is held until somebody changes or resumes it"
    if _current(snapshot).is_rollback:
        return "it is itself a rollback, so the rollout is held"
    return "no earlier revision ever completed, so the rollout is held"

"""Size the steps of a rollout, and tell progress, completion and standstill apart.

Source: Kubernetes `deployment/rolling.go`, `recreate.go` and `progress.go`. A step never takes
availability below `replicas - max_unavailable` and never asks for more than
`replicas + max_surge`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.scaling import Tally
from orchestrator.core.snapshot import RolloutView
from orchestrator.core.spec import DeploymentSpec, UpdatePolicy


def roll(replicas: int, policy: UpdatePolicy, tallies: list[Tally]) -> list[Tally]:
    """Return the tallies (oldest first, one of them current) after every step possible now.

    Availability is what was observed; what has been shrunk cannot be more available than it is
    large.
    """
    while True:
        stepped = _grow(replicas, policy, tallies)
        if stepped == tallies:
            stepped = _shrink(replicas, policy, tallies)
        if stepped == tallies:
            return tallies
        tallies = [replace(t, available=min(t.available, t.desired)) for t in stepped]


def _grow(replicas: int, policy: UpdatePolicy, tallies: list[Tally]) -> list[Tally]:
    newest = next(tally for tally in tallies if tally.current)
    if newest.desired > replicas:
        return _resized(tallies, {newest.revision: replicas})
    room = replicas + policy.max_surge - sum(tally.desired for tally in tallies)
    extra = max(0, min(room, replicas - newest.desired))
    return _resized(tallies, {newest.revision: newest.desired + extra})


def _shrink(replicas: int, policy: UpdatePolicy, tallies: list[Tally]) -> list[Tally]:
    newest = next(tally for tally in tallies if tally.current)
    floor = replicas - policy.max_unavailable
    # The newest replicas that do not serve yet are left out: the old ones they would replace
    # must stay, since the new ones may never serve.
    waiting = newest.desired - newest.available
    most = sum(tally.desired for tally in tallies) - floor - waiting
    if most <= 0:
        return tallies
    sizes = {tally.revision: tally.desired for tally in tallies}
    for tally in tallies:
        if not tally.current:
            unhealthy = max(0, min(most, tally.desired - tally.available))
            sizes[tally.revision] -= unhealthy
            most -= unhealthy
    budget = sum(tally.available for tally in tallies) - floor
    for tally in tallies:
        if not tally.current:
            retired = max(0, min(budget, sizes[tally.revision]))
            sizes[tally.revision] -= retired
            budget -= retired
    return _resized(tallies, sizes)


def recreate(replicas: int, tallies: list[Tally], *, old_remain: bool) -> list[Tally]:
    """Return the tallies for stop-first: all old to zero, then, once they are gone, all new."""
    newest = next(tally for tally in tallies if tally.current)
    target = newest.desired if old_remain else replicas
    return [replace(tally, desired=target if tally.current else 0) for tally in tallies]


def _resized(tallies: list[Tally], sizes: dict[int, int]) -> list[Tally]:
    return [replace(t, desired=sizes.get(t.revision, t.desired)) for t in tallies]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is observed: live replicas of the current revision, of older ones, and who serves."""

    updated: int
    old: int
    ready: int
    available: int

    @property
    def total(self) -> int:
        """Return all live replicas."""
        return self.updated + self.old


def is_complete(replicas: int, counts: Counts) -> bool:
    """Tell whether everything runs the current revision and serves."""
    return counts.updated == replicas == counts.total and counts.available == replicas


def next_state(
    spec: DeploymentSpec, before: RolloutView, counts: Counts, now: datetime
) -> tuple[RolloutState, datetime]:
    """Return where the rollout stands now, and when it last moved.

    The clock stands still while paused, and a rollout that has completed cannot time out.
    """
    if is_complete(spec.replicas, counts):
        moved = before.state is not RolloutState.COMPLETE
        return RolloutState.COMPLETE, now if moved else before.progressed_at
    if before.state is RolloutState.COMPLETE:
        return RolloutState.COMPLETE, before.progressed_at
    if spec.paused:
        return RolloutState.PAUSED, now
    if before.state is RolloutState.PAUSED:
        return RolloutState.PROGRESSING, now
    if before.state is RolloutState.DEADLINE_EXCEEDED:
        return before.state, before.progressed_at
    if _has_moved(before, counts):
        return RolloutState.PROGRESSING, now
    deadline = before.progressed_at + timedelta(seconds=spec.progress_deadline_seconds)
    if deadline < now:
        return RolloutState.DEADLINE_EXCEEDED, before.progressed_at
    return RolloutState.PROGRESSING, before.progressed_at


def _has_moved(before: RolloutView, counts: Counts) -> bool:
    return (
        counts.updated > before.updated
        or counts.old < before.old
        or counts.ready > before.ready
        or counts.available > before.available
    )

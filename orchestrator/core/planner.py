"""Turn a snapshot into a plan: what one pass should do for one deployment, and why.

Pure: no clock, no chance, nothing read or written. The same snapshot gives the same plan, and a
plan that has been carried out leaves nothing to do until something changes. One exception: a plan
whose own stops complete a rollout may let moves begin, and asks for the next pass itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.core import (
    history,
    progress,
    relocating,
    replicas,
    rescheduling,
    sizing,
    verdict,
    withdrawal,
)
from orchestrator.core.classify import Census, available_at, take_census
from orchestrator.core.lifecycle import NodeState, RolloutState
from orchestrator.core.plan import (
    Action,
    CompleteRollout,
    FailRollout,
    FinishDeletion,
    Plan,
    ScaleRevision,
)
from orchestrator.core.replicas import Changes
from orchestrator.core.sizing import Sizing
from orchestrator.core.snapshot import RolloutView, Snapshot

SOON = timedelta(seconds=1)


def make_plan(snapshot: Snapshot) -> Plan:
    """Return everything one pass should do for the deployment of the snapshot."""
    snapshot = _sorted(snapshot)
    census = take_census(snapshot)
    if snapshot.deleting:
        return _plan_deletion(snapshot, census)
    census = rescheduling.with_failing(snapshot, census)
    census, dropped = relocating.with_asked(snapshot, census)
    sized = sizing.resize(snapshot, census, progress.advance(snapshot, census))
    changes = replicas.changes(snapshot, census, sized)
    staying = census.without(changes.stopped)
    outcome = _outcome(snapshot, staying, changes, sized.view)
    rollout = _with_completion(sized.view, outcome)
    if isinstance(outcome, FailRollout) and outcome.rollback_to is not None:
        # The rollback makes a new revision at once; any other step would aim at the wrong one.
        rollout = replace(
            rollout, scaled_for=snapshot.rollout.scaled_for, scaled_max=snapshot.rollout.scaled_max
        )
        changes = Changes(stops=(), assignments=(), starts=(), updates=())
        # What was withdrawn before stops all the same.
        actions: tuple[Action, ...] = (*withdrawal.ended(snapshot), outcome)
    else:
        ended = (*dropped, *relocating.done(snapshot, staying))
        actions = (*_actions(snapshot, sized, changes, outcome, rollout), *ended)
    settled = not actions and _is_at_rest(snapshot, census, rollout)
    return Plan(
        actions=actions,
        verdict=verdict.judge(snapshot, census, changes, rollout),
        rollout=rollout,
        settled=settled,
        wake_at=None if settled else _wake_at(snapshot, census, rollout, actions),
    )


def _sorted(snapshot: Snapshot) -> Snapshot:
    return replace(
        snapshot,
        revisions=tuple(sorted(snapshot.revisions, key=lambda view: view.number)),
        replicas=tuple(
            sorted(snapshot.replicas, key=lambda view: (view.revision, view.slot, view.uid))
        ),
        nodes=tuple(sorted(snapshot.nodes, key=lambda view: view.name)),
    )


def _plan_deletion(snapshot: Snapshot, census: Census) -> Plan:
    stops = withdrawal.in_order(snapshot, replicas.stop_everything(census))
    called_off = relocating.called_off(snapshot)
    actions: list[Action] = [*withdrawal.ended(snapshot), *stops, *called_off]
    # A replica without a node is gone as soon as it is stopped: there is nobody to wait for.
    if all(replica.phase.is_live and replica.node is None for replica in snapshot.replicas):
        actions.append(FinishDeletion())
    return Plan(
        actions=tuple(actions),
        verdict=verdict.judge_deletion(snapshot, census),
        rollout=snapshot.rollout,
        settled=False,
        wake_at=withdrawal.wake_at(snapshot, stops),
    )


def _outcome(
    snapshot: Snapshot, staying: Census, changes: Changes, view: RolloutView
) -> CompleteRollout | FailRollout | None:
    """Return what is to be written down about the rollout: completed, failed, or nothing."""
    if len(changes.starts) == changes.replacements and progress.is_complete(snapshot, staying):
        return progress.completion(snapshot)
    fails = view.state is RolloutState.DEADLINE_EXCEEDED
    if fails and snapshot.rollout.state is not RolloutState.DEADLINE_EXCEEDED:
        return progress.failure(snapshot, staying)
    return None


def _with_completion(
    view: RolloutView, outcome: CompleteRollout | FailRollout | None
) -> RolloutView:
    if isinstance(outcome, CompleteRollout):
        return replace(view, state=RolloutState.COMPLETE)
    return view


def _actions(
    snapshot: Snapshot,
    sized: Sizing,
    changes: Changes,
    outcome: CompleteRollout | FailRollout | None,
    rollout: RolloutView,
) -> tuple[Action, ...]:
    scale: tuple[ScaleRevision, ...] = tuple(sized.changes.values())
    complete = rollout.state is RolloutState.COMPLETE
    left = frozenset(_left_revisions(snapshot, sized, changes))
    return (
        *scale,
        *withdrawal.ended(snapshot),
        *withdrawal.in_order(snapshot, changes.stops),
        *changes.assignments,
        *changes.starts,
        *changes.updates,
        *((outcome,) if outcome else ()),
        *(history.prune(snapshot, left=left) if complete else ()),
    )


def _left_revisions(snapshot: Snapshot, sized: Sizing, changes: Changes) -> Iterator[int]:
    """Yield the revisions nothing of which exists, or will once the unplaced are dropped."""
    inhabited = {
        replica.revision
        for replica in snapshot.replicas
        if replica.node is not None or replica.uid not in changes.stopped
    }
    for revision, desired in sized.desired.items():
        if not desired and revision not in inhabited:
            yield revision


def _is_at_rest(snapshot: Snapshot, census: Census, rollout: RolloutView) -> bool:
    """Tell whether nothing is under way: as asked for, or held with everything serving."""
    waits = any(replica.waiting for replica in census.everyone_live)
    moving = census.stopping or census.leaving or snapshot.asked
    if waits or moving or len(census.available) != census.total:
        return False
    if progress.is_held(rollout, snapshot.spec):
        return True
    return rollout.state is RolloutState.COMPLETE and census.total == snapshot.spec.replicas


def _wake_at(
    snapshot: Snapshot, census: Census, rollout: RolloutView, actions: tuple[Action, ...]
) -> datetime | None:
    wait = snapshot.spec.min_ready_seconds
    ripening = [available_at(view, min_ready_seconds=wait) for view in snapshot.replicas]
    lost = {node.name for node in snapshot.nodes if node.state is NodeState.LOST}
    if not snapshot.spec.fenced and any(view.node in lost for view in census.everyone_live):
        # More of those on lost nodes are given up with every second.
        ripening.append(snapshot.now + SOON)
    if census.leaving and any(isinstance(action, CompleteRollout) for action in actions):
        # While the rollout was under way nothing was moved; now that may begin.
        ripening.append(snapshot.now + SOON)
    drains = [node.drain_until for node in snapshot.nodes if node.draining]
    limit = withdrawal.wake_at(snapshot, actions)
    policy = snapshot.rescheduling
    moves = [rescheduling.next_move(v, policy) for v in snapshot.replicas if v.uid in census.stuck]
    deadline = progress.deadline_wake(rollout, snapshot.spec)
    times = [*ripening, *drains, *moves, limit, deadline]
    return min((at for at in times if at is not None and at > snapshot.now), default=None)

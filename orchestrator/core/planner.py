"""make_plan(snapshot) → Plan: what to do now so that what runs becomes what was asked for.

Two levels, as in Kubernetes: first how many replicas each revision should have (`scaling`,
`rollout`), then which replicas to start, place, resize or stop so that each has that many.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.core import classify, rollout, scaling, verdict
from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.placement import Placer
from orchestrator.core.plan import (
    Action,
    AssignReplica,
    CompleteRollout,
    FailRollout,
    FinishDeletion,
    Plan,
    PruneRevision,
    Reason,
    ScaleRevision,
    StartReplica,
    StopReplica,
    UpdateReplica,
)
from orchestrator.core.rollout import Counts
from orchestrator.core.scaling import Tally
from orchestrator.core.snapshot import ReplicaView, RevisionView, RolloutView, Snapshot
from orchestrator.core.spec import OnFailure, Strategy


def make_plan(snapshot: Snapshot) -> Plan:
    """Return everything this pass wants done, with reasons; equal snapshots give equal plans."""
    counts = _count(snapshot)
    if snapshot.deleting:
        return _plan_deletion(snapshot, counts)
    state, moved_at = rollout.next_state(snapshot.spec, snapshot.rollout, counts, snapshot.now)
    before = [_tally(snapshot, revision) for revision in snapshot.revisions]
    after = _scale(snapshot, state, before)
    actions = [*_scale_actions(snapshot, before, after), *_replica_actions(snapshot, after)]
    actions += _milestones(snapshot, state, after, busy=bool(actions))
    remembered = RolloutView(
        state=state,
        scaled_for=snapshot.spec.replicas,
        scaled_max=snapshot.spec.replicas + snapshot.spec.policy.max_surge,
        progressed_at=moved_at,
        updated=counts.updated,
        old=counts.old,
        ready=counts.ready,
        available=counts.available,
    )
    return Plan(
        actions=tuple(actions),
        verdict=verdict.judge(snapshot, state, counts),
        rollout=remembered,
        settled=not actions and _is_settled(snapshot, state, counts),
        wake_at=_wake_at(snapshot, remembered),
    )


def _count(snapshot: Snapshot) -> Counts:
    alive = classify.live(snapshot)
    updated = [replica for replica in alive if replica.revision == snapshot.current]
    return Counts(
        updated=len(updated),
        old=len(alive) - len(updated),
        ready=sum(replica.ready for replica in alive),
        available=sum(classify.is_available(replica, snapshot) for replica in alive),
    )


def _plan_deletion(snapshot: Snapshot, counts: Counts) -> Plan:
    message = "the deployment is deleted"
    actions: list[Action] = [
        StopReplica(replica=replica.uid, reason=Reason.DELETE, message=message)
        for replica in classify.live(snapshot)
    ]
    if not snapshot.replicas:
        actions = [FinishDeletion()]
    return Plan(
        actions=tuple(actions),
        verdict=verdict.judge(snapshot, snapshot.rollout.state, counts),
        rollout=snapshot.rollout,
        settled=not actions,
    )


def _tally(snapshot: Snapshot, revision: RevisionView) -> Tally:
    alive = classify.live(snapshot, revision.number)
    serving = sum(classify.is_available(replica, snapshot) for replica in alive)
    return Tally(
        revision=revision.number,
        desired=revision.desired,
        available=min(serving, revision.desired),
        current=revision.number == snapshot.current,
    )


def _scale(snapshot: Snapshot, state: RolloutState, tallies: list[Tally]) -> list[Tally]:
    """Return how many replicas each revision should have now."""
    spec = snapshot.spec
    if scaling.needs_scaling(spec, snapshot.rollout, tallies):
        tallies = scaling.rescale(spec, snapshot.rollout, tallies)
    failed = state is RolloutState.DEADLINE_EXCEEDED and spec.on_failure is not OnFailure.NONE
    if spec.paused or failed:
        return tallies
    if spec.policy.strategy is Strategy.RECREATE:
        old = any(replica.revision != snapshot.current for replica in snapshot.replicas)
        return rollout.recreate(spec.replicas, tallies, old_remain=old)
    return rollout.roll(spec.replicas, spec.policy, tallies)


def _scale_actions(snapshot: Snapshot, before: list[Tally], after: list[Tally]) -> list[Action]:
    actions: list[Action] = []
    for old, new in zip(before, after, strict=True):
        if old.desired != new.desired:
            reason, why = _why_scaled(snapshot, old, new)
            message = f"revision {new.revision}: {old.desired} → {new.desired} replicas; {why}"
            actions.append(
                ScaleRevision(
                    revision=new.revision, desired=new.desired, reason=reason, message=message
                )
            )
    return actions


def _why_scaled(snapshot: Snapshot, old: Tally, new: Tally) -> tuple[Reason, str]:
    spec, policy = snapshot.spec, snapshot.spec.policy
    grows = new.desired > old.desired
    if snapshot.rollout.scaled_for not in (0, spec.replicas) or len(snapshot.revisions) == 1:
        reason = Reason.SCALE_UP if grows else Reason.SCALE_DOWN
        return reason, f"{spec.replicas} are wanted"
    if policy.strategy is Strategy.RECREATE:
        if grows:
            return Reason.ROLLOUT_SURGE, "every older replica is gone"
        return Reason.RECREATE_STOP, "the strategy is to stop the old ones first"
    if grows:
        most = spec.replicas + policy.max_surge
        return Reason.ROLLOUT_SURGE, f"at most {most} may exist during the rollout"
    floor = spec.replicas - policy.max_unavailable
    return Reason.ROLLOUT_RETIRE, f"at least {floor} must stay available during the rollout"


def _replica_actions(snapshot: Snapshot, tallies: list[Tally]) -> list[Action]:
    placer = Placer(snapshot.nodes, snapshot.replicas)
    revisions = {revision.number: revision for revision in snapshot.revisions}
    actions: list[Action] = []
    for tally in tallies:
        alive = classify.live(snapshot, tally.revision)
        surplus = len(alive) - tally.desired
        leaving = classify.by_kill_order(alive, snapshot.now)[: max(0, surplus)]
        actions += [_stop(snapshot, replica, tally) for replica in leaving]
        gone = {replica.uid for replica in leaving}
        staying = [replica for replica in alive if replica.uid not in gone]
        actions += _care(staying, revisions[tally.revision], placer)
        actions += _start(snapshot, revisions[tally.revision], staying, tally, placer)
    return actions


def _stop(snapshot: Snapshot, replica: ReplicaView, tally: Tally) -> Action:
    if tally.revision == snapshot.current:
        reason, why = Reason.SCALE_DOWN, f"{tally.desired} are wanted"
    elif not classify.is_available(replica, snapshot):
        reason, why = Reason.REMOVE_UNHEALTHY, "it is old and does not serve"
    else:
        reason, why = Reason.ROLLOUT_RETIRE, f"revision {snapshot.current} takes its place"
    message = f"replica {replica.uid} of revision {tally.revision} is stopped: {why}"
    return StopReplica(replica=replica.uid, reason=reason, message=message)


def _care(staying: list[ReplicaView], revision: RevisionView, placer: Placer) -> list[Action]:
    """Place what waits for a node, and resize what runs with other limits than its revision's."""
    actions: list[Action] = []
    for replica in staying:
        if replica.phase is ReplicaPhase.PENDING:
            node, sentence = placer.place(revision)
            if node is not None or sentence != replica.waiting:
                actions.append(_assign(replica, node, sentence))
        elif replica.resources != revision.resources and not replica.update_failed:
            actions.append(
                UpdateReplica(
                    replica=replica.uid,
                    resources=revision.resources,
                    reason=Reason.RESIZE,
                    message=f"replica {replica.uid} gets the limits of revision {revision.number} "
                    "in place",
                )
            )
    return actions


def _assign(replica: ReplicaView, node: str | None, sentence: str) -> Action:
    if node is None:
        return AssignReplica(
            replica=replica.uid,
            node=None,
            reason=Reason.UNPLACEABLE,
            message=f"replica {replica.uid} still waits: {sentence}",
            waiting=sentence,
        )
    message = f"replica {replica.uid} goes to node {node}: {sentence}"
    return AssignReplica(replica=replica.uid, node=node, reason=Reason.PLACED, message=message)


def _start(
    snapshot: Snapshot,
    revision: RevisionView,
    staying: list[ReplicaView],
    tally: Tally,
    placer: Placer,
) -> list[Action]:
    taken = {replica.slot for replica in staying}
    missing = tally.desired - len(staying)
    free = [slot for slot in range(len(staying) + max(0, missing)) if slot not in taken]
    actions: list[Action] = []
    for slot in free[: max(0, missing)]:
        node, sentence = placer.place(revision)
        reason = _why_started(snapshot, revision, node)
        where = f"on node {node}" if node is not None else f"but waits: {sentence}"
        actions.append(
            StartReplica(
                revision=revision.number,
                slot=slot,
                node=node,
                resources=revision.resources,
                reason=reason,
                message=f"{snapshot.deployment} slot {slot} starts with revision "
                f"{revision.number} ({tally.desired} wanted) {where}",
                waiting="" if node is not None else sentence,
            )
        )
    return actions


def _why_started(snapshot: Snapshot, revision: RevisionView, node: str | None) -> Reason:
    if node is None:
        return Reason.UNPLACEABLE
    if len(classify.live(snapshot, revision.number)) < revision.desired:
        return Reason.REPLACE_MISSING
    in_rollout = any(r.desired for r in snapshot.revisions if r.number != revision.number)
    return Reason.ROLLOUT_SURGE if in_rollout else Reason.SCALE_UP


def _milestones(
    snapshot: Snapshot, state: RolloutState, tallies: list[Tally], *, busy: bool
) -> list[Action]:
    """Return what marks the course of the rollout: completion, failure, forgotten revisions."""
    before = snapshot.rollout.state
    if state is RolloutState.COMPLETE and before is not state:
        message = f"every replica runs revision {snapshot.current} and is available"
        return [CompleteRollout(revision=snapshot.current, reason=Reason.COMPLETE, message=message)]
    if state is RolloutState.DEADLINE_EXCEEDED and before is not state:
        return [_fail(snapshot)]
    if state is RolloutState.COMPLETE and not busy:
        return _prune(snapshot, tallies)
    return []


def _fail(snapshot: Snapshot) -> FailRollout:
    current = next(r for r in snapshot.revisions if r.number == snapshot.current)
    seconds = snapshot.spec.progress_deadline_seconds
    target = max(
        (r.number for r in snapshot.revisions if r.completed and r.number < snapshot.current),
        default=None,
    )
    wants_rollback = snapshot.spec.on_failure is OnFailure.ROLLBACK and not current.is_rollback
    rollback_to = target if wants_rollback else None
    if rollback_to is not None:
        then = f"it is rolled back to revision {rollback_to}"
    elif snapshot.spec.on_failure is OnFailure.NONE:
        then = "it goes on trying"
    else:
        then = "it is held where it stands"
    return FailRollout(
        revision=snapshot.current,
        rollback_to=rollback_to,
        pause=rollback_to is None and snapshot.spec.on_failure is not OnFailure.NONE,
        reason=Reason.DEADLINE,
        message=f"the rollout of revision {snapshot.current} has not moved for {seconds} s; {then}",
    )


def _prune(snapshot: Snapshot, tallies: list[Tally]) -> list[Action]:
    used = {replica.revision for replica in snapshot.replicas}
    used |= {tally.revision for tally in tallies if tally.desired > 0}
    completed = [r.number for r in snapshot.revisions if r.completed]
    kept = {snapshot.current, *completed[-2:]} | used
    idle = [r.number for r in snapshot.revisions if r.number not in kept]
    surplus = len(snapshot.revisions) - 1 - snapshot.spec.revision_history_limit
    return [PruneRevision(revision=number) for number in idle[: max(0, surplus)]]


def _is_settled(snapshot: Snapshot, state: RolloutState, counts: Counts) -> bool:
    """Tell whether nothing is owed: as wanted, or held by a person or a failure with nothing to do."""
    if any(replica.phase is ReplicaPhase.STOPPING for replica in snapshot.replicas):
        return False
    if state is RolloutState.COMPLETE:
        return counts.available == snapshot.spec.replicas
    return snapshot.spec.paused or state is RolloutState.DEADLINE_EXCEEDED


def _wake_at(snapshot: Snapshot, remembered: RolloutView) -> datetime | None:
    """Return when time alone changes the answer."""
    moments = []
    for replica in classify.live(snapshot):
        since = classify.available_at(replica, snapshot.spec.min_ready_seconds)
        if since is not None:
            moments.append(since)
    if remembered.state is RolloutState.PROGRESSING:
        seconds = snapshot.spec.progress_deadline_seconds + 1
        moments.append(remembered.progressed_at + timedelta(seconds=seconds))
    return min((moment for moment in moments if moment > snapshot.now), default=None)

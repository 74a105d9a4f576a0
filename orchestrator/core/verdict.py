"""Put into one word and one calm sentence how a deployment does, and what it waits for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from orchestrator.core import progress
from orchestrator.core.classify import Census, is_ready
from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import DeploymentPhase, Reason, Verdict
from orchestrator.core.replicas import Changes
from orchestrator.core.snapshot import ReplicaView, RolloutView, Snapshot
from orchestrator.core.spec import OnFailure, Strategy
from orchestrator.core.wording import ASLEEP, be, count, join, of


def judge(snapshot: Snapshot, census: Census, changes: Changes, rollout: RolloutView) -> Verdict:
    """Return the verdict on what was seen, knowing what is done about it in this pass."""
    phase, message = _judge(snapshot, census, changes, rollout)
    return _verdict(snapshot, census, phase, message)


def judge_deletion(snapshot: Snapshot, census: Census) -> Verdict:
    """Return the verdict on a deployment that is being deleted."""
    left = len(snapshot.replicas)
    message = "being deleted; nothing of it runs any more"
    if left:
        message = f"being deleted; {count(left, 'replica')} {be(left)} still to stop"
    return _verdict(snapshot, census, DeploymentPhase.DELETING, message)


def _judge(
    snapshot: Snapshot, census: Census, changes: Changes, rollout: RolloutView
) -> tuple[DeploymentPhase, str]:
    complete = rollout.state is RolloutState.COMPLETE
    if snapshot.spec.paused:
        return DeploymentPhase.PAUSED, _paused(snapshot, census, complete=complete)
    if rollout.state is RolloutState.DEADLINE_EXCEEDED:
        return DeploymentPhase.FAILED, _failed(snapshot, census, rollout)
    waits = _waits(snapshot, census, changes)
    if complete:
        return _complete(snapshot, census, rollout, waits)
    wanted, updated = snapshot.spec.replicas, census.available_of(snapshot.current)
    facts = f"{of(updated, wanted, 'updated replica')} available"
    return DeploymentPhase.PROGRESSING, f"{facts}{waits}"


def _complete(
    snapshot: Snapshot, census: Census, rollout: RolloutView, waits: str
) -> tuple[DeploymentPhase, str]:
    wanted, available = snapshot.spec.replicas, len(census.available)
    served = f"all {wanted} replicas are available" if wanted > 1 else "1 replica is available"
    if available == census.total == wanted and not census.leaving:
        return DeploymentPhase.AVAILABLE, served if wanted else _nobody(snapshot)
    if census.leaving and available >= wanted:
        return DeploymentPhase.PROGRESSING, f"{served}; {_moving(census)}{waits}"
    facts = f"{available} {be(available)} available{waits}"
    if available < rollout.available:
        facts = f"{of(available, wanted, 'replica')} available{waits}"
        return DeploymentPhase.DEGRADED, facts
    return DeploymentPhase.PROGRESSING, f"scaling to {count(wanted, 'replica')}, {facts}"


def _nobody(snapshot: Snapshot) -> str:
    return ASLEEP if snapshot.asleep else "scaled to zero"


def _moving(census: Census) -> str:
    moving = count(len(census.leaving), "replica")
    verb = "moves" if len(census.leaving) == 1 else "move"
    reasons = {departure.reason for departure in census.leaving.values()}
    if reasons == {Reason.DRAIN}:
        return f"{moving} {verb} off nodes that are drained"
    if reasons == {Reason.RESCHEDULE}:
        there = "a node where it keeps" if len(census.leaving) == 1 else "nodes where they keep"
        return f"{moving} {verb} away from {there} failing"
    return f"{moving} {verb} to {'another node' if len(census.leaving) == 1 else 'other nodes'}"


def _paused(snapshot: Snapshot, census: Census, *, complete: bool) -> str:
    wanted, available = snapshot.spec.replicas, len(census.available)
    facts = f"{of(available, wanted, 'replica')} available"
    if complete:
        return f"paused with no rollout under way; {facts}"
    updated = len(census.live[snapshot.current])
    return (
        f"the rollout to revision {snapshot.current} is paused; "
        f"{of(updated, wanted, 'replica')} updated and {facts}"
    )


def _failed(snapshot: Snapshot, census: Census, rollout: RolloutView) -> str:
    updated = census.available_of(snapshot.current)
    wanted = snapshot.spec.replicas
    facts = (
        f"revision {snapshot.current} missed its progress deadline of "
        f"{snapshot.spec.progress_deadline_seconds} s with {updated} of "
        f"{count(wanted, 'updated replica')} available"
    )
    if snapshot.spec.on_failure is OnFailure.NONE:
        return f"{facts}; trying on"
    just_now = snapshot.rollout.state is not RolloutState.DEADLINE_EXCEEDED
    target = progress.failure(snapshot, census).rollback_to if just_now else None
    if target is not None:
        return f"{facts}; going back to revision {target}"
    old = rollout.old
    kept = f"; {count(old, 'old replica')} {be(old)} kept" if old else ""
    return f"{facts}; the rollout is held{kept}"


def _waits(snapshot: Snapshot, census: Census, changes: Changes) -> str:
    parts = list(_waiting_parts(snapshot, census.without(changes.stopped), changes))
    return f"; {join(parts)}" if parts else ""


def _waiting_parts(snapshot: Snapshot, staying: Census, changes: Changes) -> Iterator[str]:
    current = staying.live[snapshot.current]
    reasons = _waiting_reasons(current, changes)
    unplaced = sum(reasons.values())
    coming = sum(_is_coming(view) for view in current) + _arrivals(snapshot, changes)
    running = [view for view in current if view.phase is ReplicaPhase.RUNNING]
    unready = sum(not is_ready(view) for view in running)
    young = sum(is_ready(view) and view.uid not in staying.available for view in running)
    old = staying.total - len(current)
    withdrawn = sum(view.phase is ReplicaPhase.WITHDRAWN for view in staying.stopping)
    if coming:
        yield f"{coming} {be(coming)} starting"
    if unready:
        yield f"{unready} {be(unready)} running but not ready yet"
    if young:
        yield f"{young} {be(young)} ready for less than {snapshot.spec.min_ready_seconds} s"
    if unplaced:
        why = max(sorted(reasons), key=lambda reason: reasons[reason])
        yield f"{unplaced} {'waits' if unplaced == 1 else 'wait'} for a node ({why})"
    if old:
        yield f"{count(old, 'old replica')} {be(old)} still to be retired"
    leaving = _leaving_first(snapshot, staying, changes)
    if leaving:
        yield f"{count(leaving, 'old replica')} {be(leaving)} stopping first"
    if withdrawn:
        yield f"{count(withdrawn, 'replica')} {be(withdrawn)} finishing requests before stopping"


def _is_coming(replica: ReplicaView) -> bool:
    return replica.node is not None and replica.phase < ReplicaPhase.RUNNING


def _arrivals(snapshot: Snapshot, changes: Changes) -> int:
    started = sum(
        start.node is not None for start in changes.starts if start.revision == snapshot.current
    )
    current = {view.uid for view in snapshot.replicas if view.revision == snapshot.current}
    placed = sum(
        action.node is not None and action.replica in current for action in changes.assignments
    )
    return started + placed


def _waiting_reasons(current: tuple[ReplicaView, ...], changes: Changes) -> Counter[str]:
    """Return how many replicas wait for a node, by what they wait for."""
    renewed = {action.replica: action for action in changes.assignments}
    texts = [start.waiting for start in changes.starts]
    for replica in current:
        if replica.node is None:
            action = renewed.get(replica.uid)
            texts.append(action.waiting if action else replica.waiting)
    return Counter(text for text in texts if text)


def _leaving_first(snapshot: Snapshot, staying: Census, changes: Changes) -> int:
    """Return how many old replicas a Recreate still waits for."""
    if snapshot.spec.policy.strategy is not Strategy.RECREATE:
        return 0
    leaving = {view.uid for view in staying.stopping} | changes.stopped
    return sum(
        view.uid in leaving and view.revision != snapshot.current and view.node is not None
        for view in snapshot.replicas
    )


def _verdict(snapshot: Snapshot, census: Census, phase: DeploymentPhase, message: str) -> Verdict:
    return Verdict(
        phase=phase,
        message=message,
        replicas=census.total,
        updated=len(census.live[snapshot.current]),
        ready=census.ready,
        available=len(census.available),
    )

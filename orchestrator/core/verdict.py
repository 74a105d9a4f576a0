"""One word and one sentence for how a deployment does."""

from __future__ import annotations

from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.plan import DeploymentPhase, Verdict
from orchestrator.core.rollout import Counts
from orchestrator.core.snapshot import Snapshot


def judge(snapshot: Snapshot, state: RolloutState, counts: Counts) -> Verdict:
    """Return the status people read."""
    phase, message = _judge(snapshot, state, counts)
    return Verdict(
        phase=phase,
        message=message,
        replicas=counts.total,
        updated=counts.updated,
        ready=counts.ready,
        available=counts.available,
    )


def _judge(snapshot: Snapshot, state: RolloutState, counts: Counts) -> tuple[DeploymentPhase, str]:
    wanted = snapshot.spec.replicas
    if snapshot.deleting:
        left = len(snapshot.replicas)
        return DeploymentPhase.DELETING, f"waiting for {_replicas(left)} to stop"
    if state is RolloutState.DEADLINE_EXCEEDED:
        seconds = snapshot.spec.progress_deadline_seconds
        return DeploymentPhase.FAILED, (
            f"the rollout of revision {snapshot.current} has not moved for {seconds} s; "
            f"{counts.available} of {wanted} replicas are available"
        )
    if snapshot.spec.paused:
        return DeploymentPhase.PAUSED, (
            f"paused; {counts.updated} of {wanted} replicas have revision {snapshot.current}, "
            f"{counts.available} are available"
        )
    if state is RolloutState.COMPLETE:
        return _judge_complete(wanted, counts)
    return DeploymentPhase.PROGRESSING, _waits_for(snapshot, counts)


def _judge_complete(wanted: int, counts: Counts) -> tuple[DeploymentPhase, str]:
    if wanted == 0 and counts.total == 0:
        return DeploymentPhase.AVAILABLE, "scaled to zero"
    if counts.available >= wanted and counts.total == wanted:
        return DeploymentPhase.AVAILABLE, f"all {_replicas(wanted)} are available"
    if counts.available >= wanted:
        return DeploymentPhase.PROGRESSING, f"stopping {counts.total - wanted} too many"
    missing = wanted - counts.available
    return DeploymentPhase.DEGRADED, (
        f"{counts.available} of {wanted} replicas are available; waiting for {missing}"
    )


def _waits_for(snapshot: Snapshot, counts: Counts) -> str:
    """Return what the rollout waits for, in the order of `kubectl rollout status`."""
    wanted, current = snapshot.spec.replicas, snapshot.current
    if counts.updated < wanted:
        return f"{counts.updated} of {wanted} replicas have been updated to revision {current}"
    if counts.old > 0:
        return f"{_replicas(counts.old)} of older revisions wait to be stopped"
    return f"{counts.available} of {wanted} updated replicas are available"


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"

"""Change the limits of running replicas in place, as far as their nodes have room for it."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.classify import Census
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement.placer import Placer
from orchestrator.core.plan import AssignReplica, Reason, UpdateReplica
from orchestrator.core.snapshot import ReplicaView, RevisionView, Snapshot
from orchestrator.core.wording import cores, join, memory

RESIZABLE = (ReplicaPhase.STARTING, ReplicaPhase.RUNNING)


def changes(
    snapshot: Snapshot, staying: Census, placer: Placer
) -> Iterator[UpdateReplica | AssignReplica]:
    """Yield the updates, and for replicas that have to wait for room what they wait for."""
    if snapshot.spec.paused:
        return
    for revision in snapshot.revisions:
        for replica in staying.live[revision.number]:
            differs = replica.resources != revision.resources and not replica.update_failed
            waits = replica.waiting and replica.uid not in staying.stuck
            if replica.phase not in RESIZABLE or not (differs or waits):
                continue
            if not differs:
                yield _waits_to_grow(replica, revision, "")
            elif placer.grow(replica, revision.resources.requested):
                yield UpdateReplica(
                    replica=replica.uid,
                    resources=revision.resources,
                    reason=Reason.RESIZE,
                    message=f"revision {revision.number} has other limits, set without a restart",
                )
            elif (why := _why_it_cannot_grow(replica, revision)) != replica.waiting:
                yield _waits_to_grow(replica, revision, why)


def _why_it_cannot_grow(replica: ReplicaView, revision: RevisionView) -> str:
    asked = revision.resources.requested
    words = join([f"{cores(asked.cpu_millis)} cpu", f"{memory(asked.memory_bytes)} of memory"])
    return f"its new limits wait: node {replica.node} has no room for {words}"


def _waits_to_grow(replica: ReplicaView, revision: RevisionView, why: str) -> AssignReplica:
    return AssignReplica(
        replica=replica.uid,
        node=None,
        resources=revision.resources,
        reason=Reason.RESIZE_WAITS,
        message=why or "it waits no longer",
        waiting=why,
    )

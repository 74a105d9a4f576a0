"""Bring the live replicas of each revision to the number it should have.

Stops come first, then replicas that wait for a node, then new ones, then changes in place. A
revision is either too large or too small, so nothing is stopped and started for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as numbers
from itertools import islice

from orchestrator.core import migrating, victims
from orchestrator.core.classify import Census
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.migrating import Moves
from orchestrator.core.placement import Placer
from orchestrator.core.plan import AssignReplica, Reason, StartReplica, StopReplica, UpdateReplica
from orchestrator.core.sizing import Sizing
from orchestrator.core.snapshot import ReplicaView, RevisionView, Snapshot
from orchestrator.core.wording import count

RESIZABLE = (ReplicaPhase.STARTING, ReplicaPhase.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be done with single replicas; `replacements` of the starts are for a drain."""

    stops: tuple[StopReplica, ...]
    assignments: tuple[AssignReplica, ...]
    starts: tuple[StartReplica, ...]
    updates: tuple[UpdateReplica, ...]
    replacements: int = 0

    @property
    def stopped(self) -> frozenset[str]:
        """Return the replicas that leave."""
        return frozenset(stop.replica for stop in self.stops)


def changes(snapshot: Snapshot, census: Census, sizing: Sizing) -> Changes:
    """Return the stops, placements, starts and updates that make the counts true."""
    moves = migrating.moves(snapshot, census, sizing)
    stops = (*moves.stops, *_stops(snapshot, census, sizing, moves))
    staying = census.without(frozenset(stop.replica for stop in stops))
    placer = Placer(snapshot.nodes, snapshot.replicas)
    return Changes(
        stops=stops,
        assignments=tuple(_assignments(snapshot, staying, placer)),
        starts=tuple(_starts(snapshot, staying, sizing, moves, placer)),
        updates=tuple(_updates(snapshot, staying)),
        replacements=sum(moves.replacements.values()),
    )


def stop_everything(census: Census) -> tuple[StopReplica, ...]:
    """Return the stops of every live replica of a deployment that is being deleted."""
    return tuple(
        StopReplica(
            replica=replica.uid,
            reason=Reason.DELETE,
            message="the deployment is being deleted, so all its replicas stop",
        )
        for replica in (*census.everyone_live, *census.unreachable)
    )


def _stops(
    snapshot: Snapshot, census: Census, sizing: Sizing, moves: Moves
) -> Iterator[StopReplica]:
    for revision, live in census.without(census.leaving).live.items():
        desired = moves.staying[revision]
        change = sizing.changes.get(revision)
        reason = change.reason if change else Reason.SCALE_DOWN
        facts = f"revision {revision} has {count(len(live), 'replica')} and should have {desired}"
        surplus = len(live) - desired
        for victim in victims.choose(live, surplus, census=census, now=snapshot.now):
            idle = reason is Reason.ROLLOUT_RETIRE and victim.uid not in census.available
            yield StopReplica(
                replica=victim.uid,
                reason=Reason.REMOVE_UNHEALTHY if idle else reason,
                message=f"{facts}; this one {_why_missed_least(victim, census)}",
            )


def _why_missed_least(victim: ReplicaView, census: Census) -> str:
    if victim.node is None:
        return "has no node yet"
    if victim.phase is not ReplicaPhase.RUNNING:
        return f"is still {victim.phase}"
    if victim.uid not in census.available:
        return "is not available"
    return "is missed least of those that are available"


def _assignments(snapshot: Snapshot, staying: Census, placer: Placer) -> Iterator[AssignReplica]:
    revisions = {view.number: view for view in snapshot.revisions}
    for replica in staying.everyone_live:
        if replica.node is not None:
            continue
        revision = revisions[replica.revision]
        node = placer.place(revision)
        if node is not None:
            message = f"node {node} fits and has the fewest replicas of this deployment"
            yield AssignReplica(
                replica=replica.uid, node=node, reason=Reason.PLACED, message=message
            )
        elif (why := placer.explain(revision)) != replica.waiting:
            yield AssignReplica(
                replica=replica.uid,
                node=None,
                reason=Reason.UNPLACEABLE,
                message=f"the replica waits: {why}",
                waiting=why,
            )


def _starts(
    snapshot: Snapshot, staying: Census, sizing: Sizing, moves: Moves, placer: Placer
) -> Iterator[StartReplica]:
    for revision in snapshot.revisions:
        live = staying.live[revision.number]
        desired = sizing.desired[revision.number]
        slots = islice(_free_slots(snapshot, revision.number), moves.starts[revision.number])
        for ahead, slot in enumerate(slots, start=len(live)):
            node = placer.place(revision)
            why_not = placer.explain(revision) if node is None else ""
            reason = Reason.DRAIN if ahead >= desired else _reason_to_start(revision, ahead, sizing)
            facts = _facts(revision, live, desired, staying.leaving)
            yield StartReplica(
                revision=revision.number,
                slot=slot,
                node=node,
                resources=revision.resources,
                reason=reason if node else Reason.UNPLACEABLE,
                message=f"{facts}, {_outcome(node, why_not)}",
                waiting=why_not,
            )


def _free_slots(snapshot: Snapshot, revision: int) -> Iterator[int]:
    """Yield the slots nobody has; that of a replica which stops in this pass is not free yet."""
    live = (view for view in snapshot.replicas if view.phase.is_live)
    taken = {view.slot for view in live if view.revision == revision}
    return (slot for slot in numbers() if slot not in taken)


def _reason_to_start(revision: RevisionView, ahead: int, sizing: Sizing) -> Reason:
    """Return why one starts when `ahead` others are there: to fill a gap, or because it grew."""
    change = sizing.changes.get(revision.number)
    return change.reason if change and ahead >= revision.desired else Reason.REPLACE_MISSING


def _facts(
    revision: RevisionView, live: Sequence[ReplicaView], desired: int, leaving: frozenset[str]
) -> str:
    wanted = count(desired, "replica")
    facts = f"revision {revision.number} should have {wanted} and has {len(live)}"
    drained = sum(replica.uid in leaving for replica in live)
    return f"{facts} ({drained} on nodes that are drained)" if drained else facts


def _outcome(node: str | None, why_not: str) -> str:
    return f"so one starts on {node}" if node else f"but one has to wait: {why_not}"


def _updates(snapshot: Snapshot, staying: Census) -> Iterator[UpdateReplica]:
    if snapshot.spec.paused:
        return
    for revision in snapshot.revisions:
        for replica in staying.live[revision.number]:
            differs = replica.resources != revision.resources
            if differs and replica.phase in RESIZABLE and not replica.update_failed:
                yield UpdateReplica(
                    replica=replica.uid,
                    resources=revision.resources,
                    reason=Reason.RESIZE,
                    message=f"revision {revision.number} has other limits, set without a restart",
                )

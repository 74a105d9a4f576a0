"""Bring the live replicas of each revision to the number it should have.

Stops come first, then replicas that wait for a node, then new ones, then changes in place. A
revision is either too large or too small, so nothing is stopped and started for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as numbers
from itertools import islice

from orchestrator.core import resizing, victims
from orchestrator.core.classify import Census
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement.placer import Placer
from orchestrator.core.plan import AssignReplica, Reason, StartReplica, StopReplica, UpdateReplica
from orchestrator.core.sizing import Sizing
from orchestrator.core.snapshot import ReplicaView, RevisionView, Snapshot
from orchestrator.core.wording import count, without_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be done with single replicas; `updates` holds those that wait for room as well."""

    stops: tuple[StopReplica, ...]
    assignments: tuple[AssignReplica, ...]
    starts: tuple[StartReplica, ...]
    updates: tuple[UpdateReplica | AssignReplica, ...]

    @property
    def stopped(self) -> frozenset[str]:
        """Return the replicas that leave."""
        return frozenset(stop.replica for stop in self.stops)


def changes(snapshot: Snapshot, census: Census, sizing: Sizing) -> Changes:
    """Return the stops, placements, starts and updates that make the counts true.

    Running replicas grow before new ones take the room. Why a replica waits is said last, after
    everything has its place.
    """
    stops = tuple(_stops(snapshot, census, sizing))
    leaving = frozenset(stop.replica for stop in stops)
    staying = census.without(leaving)
    placer = Placer(snapshot, leaving)
    updates = tuple(resizing.changes(snapshot, staying, placer))
    assigned = tuple(_find_places(snapshot, staying, placer))
    started = tuple(_find_starts(snapshot, staying, sizing, placer))
    return Changes(
        stops=stops,
        assignments=tuple(_assignments(assigned, placer)),
        starts=tuple(_start(start, sizing, placer) for start in started),
        updates=updates,
    )


def stop_everything(census: Census) -> tuple[StopReplica, ...]:
    """Return the stops of every live replica of a deployment that is being deleted."""
    return tuple(
        StopReplica(
            replica=replica.uid,
            reason=Reason.DELETE,
            message="the deployment is being deleted, so all its replicas stop",
        )
        for replica in census.everyone_live
    )


def _stops(snapshot: Snapshot, census: Census, sizing: Sizing) -> Iterator[StopReplica]:
    for revision, live in census.live.items():
        desired = sizing.desired[revision]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assignment:
    """A replica that waited, and where it goes now (None: it waits on)."""

    replica: ReplicaView
    revision: RevisionView
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """A replica that is missing, where it goes, and how many of its revision were there before.

    `ahead` counts those started before it in this pass as well.
    """

    revision: RevisionView
    slot: int
    live: int
    ahead: int
    node: str | None


def _find_places(snapshot: Snapshot, staying: Census, placer: Placer) -> Iterator[_Assignment]:
    revisions = {view.number: view for view in snapshot.revisions}
    for replica in staying.everyone_live:
        if replica.node is None:
            revision = revisions[replica.revision]
            yield _Assignment(replica=replica, revision=revision, node=placer.place(revision))


def _find_starts(
    snapshot: Snapshot, staying: Census, sizing: Sizing, placer: Placer
) -> Iterator[_Start]:
    for revision in snapshot.revisions:
        live = staying.live[revision.number]
        missing = max(0, sizing.desired[revision.number] - len(live))
        for ahead, slot in enumerate(islice(_free_slots(live), missing), start=len(live)):
            node = placer.place(revision)
            yield _Start(revision=revision, slot=slot, live=len(live), ahead=ahead, node=node)


def _assignments(found: Sequence[_Assignment], placer: Placer) -> Iterator[AssignReplica]:
    for item in found:
        revision, replica = item.revision, item.replica
        if item.node is not None:
            yield AssignReplica(
                replica=replica.uid,
                node=item.node,
                resources=revision.resources,
                reason=Reason.PLACED,
                message=f"node {item.node} fits and is the best of those that do",
            )
        elif (why := placer.explain(revision).message) != replica.waiting:
            yield AssignReplica(
                replica=replica.uid,
                node=None,
                resources=revision.resources,
                reason=Reason.UNPLACEABLE,
                message=f"the replica waits: {why}",
                waiting=why,
                is_news=without_numbers(why) != without_numbers(replica.waiting),
            )


def _start(start: _Start, sizing: Sizing, placer: Placer) -> StartReplica:
    revision, node = start.revision, start.node
    desired = sizing.desired[revision.number]
    why_not = placer.explain(revision).message if node is None else ""
    return StartReplica(
        revision=revision.number,
        slot=start.slot,
        node=node,
        resources=revision.resources,
        reason=_reason_to_start(revision, start.ahead, sizing) if node else Reason.UNPLACEABLE,
        message=_start_message(revision, start.live, desired, node or why_not, node=node),
        waiting=why_not,
    )


def _free_slots(live: Sequence[ReplicaView]) -> Iterator[int]:
    taken = {replica.slot for replica in live}
    return (slot for slot in numbers() if slot not in taken)


def _reason_to_start(revision: RevisionView, ahead: int, sizing: Sizing) -> Reason:
    """Return why one starts when `ahead` others are there: to fill a gap, or because it grew."""
    change = sizing.changes.get(revision.number)
    return change.reason if change and ahead >= revision.desired else Reason.REPLACE_MISSING


def _start_message(
    revision: RevisionView, live: int, desired: int, where: str, *, node: str | None
) -> str:
    facts = f"revision {revision.number} should have {count(desired, 'replica')} and has {live}"
    return (
        f"{facts}, so one starts on {where}" if node else f"{facts}, but one has to wait: {where}"
    )

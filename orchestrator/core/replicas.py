"""Bring the live replicas of each revision to the number it should have.

Stops come first, then replicas that wait for a node, then new ones, then changes in place. A
revision is either too large or too small, so nothing is stopped and started for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as numbers

from orchestrator.core import migrating, resizing, victims
from orchestrator.core.classify import Census, Departure
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.migrating import Moves
from orchestrator.core.placement.placer import Placer
from orchestrator.core.plan import AssignReplica, Reason, StartReplica, StopReplica, UpdateReplica
from orchestrator.core.sizing import Sizing
from orchestrator.core.snapshot import ReplicaView, RevisionView, Snapshot
from orchestrator.core.wording import count, without_numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be done with single replicas.

    `updates` holds those that wait for room as well; `replacements` of the starts are for
    replicas that leave.
    """

    stops: tuple[StopReplica, ...]
    assignments: tuple[AssignReplica, ...]
    starts: tuple[StartReplica, ...]
    updates: tuple[UpdateReplica | AssignReplica, ...]
    replacements: int = 0

    @property
    def stopped(self) -> frozenset[str]:
        """Return the replicas that leave."""
        return frozenset(stop.replica for stop in self.stops)


def changes(snapshot: Snapshot, census: Census, sizing: Sizing) -> Changes:
    """Return the stops, placements, starts and updates that make the counts true.

    Running replicas grow before new ones take the room. Why a replica waits is said last, after
    everything has its place.
    """
    moves = migrating.moves(snapshot, census, sizing)
    stops = (*moves.stops, *_stops(snapshot, census, sizing, moves))
    leaving = frozenset(stop.replica for stop in stops)
    staying = census.without(leaving)
    placer = Placer(snapshot, leaving)
    updates = tuple(resizing.changes(snapshot, staying, placer))
    assigned = tuple(_find_places(snapshot, staying, placer))
    started = tuple(_find_starts(snapshot, staying, moves, placer))
    reasons = _reasons_to_stay(staying)
    return Changes(
        stops=stops,
        assignments=tuple(_assignments(assigned, placer)),
        starts=tuple(_start(start, sizing, placer) for start in started),
        updates=(*updates, *reasons),
        replacements=sum(start.is_replacement for start in started),
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
    for revision, live in census.without(frozenset(census.leaving)).live.items():
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assignment:
    """A replica that waited, and where it goes now (None: it waits on)."""

    replica: ReplicaView
    revision: RevisionView
    node: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    """A replica that is missing, where it goes, and how many of its revision were there before.

    `ahead` counts those started before it in this pass as well, `leaving` those that leave their
    nodes. A replacement is for one of these; `heir_of` says for which, where that matters.
    """

    revision: RevisionView
    slot: int
    live: int
    ahead: int
    leaving: int
    node: str | None
    is_replacement: bool
    heir_of: Departure | None


def _find_places(snapshot: Snapshot, staying: Census, placer: Placer) -> Iterator[_Assignment]:
    revisions = {view.number: view for view in snapshot.revisions}
    for replica in staying.everyone_live:
        if replica.node is None:
            revision = revisions[replica.revision]
            yield _Assignment(replica=replica, revision=revision, node=placer.place(revision))


def _find_starts(
    snapshot: Snapshot, staying: Census, moves: Moves, placer: Placer
) -> Iterator[_Start]:
    for revision in snapshot.revisions:
        live, heirs = staying.live[revision.number], moves.heirs[revision.number]
        gap = moves.starts[revision.number] - moves.replacements[revision.number]
        slots = _free_slots(snapshot, revision.number)
        for number, (predecessor, slot) in enumerate(zip(heirs, slots, strict=False)):
            node = _place(revision, predecessor, placer)
            heir_of = predecessor if node is not None else None
            if predecessor is not None and node is None:
                if number >= gap:
                    # It leaves only for a better place, and that has just been given away.
                    continue
                node = placer.place(revision)
            yield _Start(
                revision=revision,
                slot=slot,
                live=len(live),
                ahead=len(live) + number,
                leaving=sum(view.uid in staying.leaving for view in live),
                node=node,
                is_replacement=number >= gap,
                heir_of=heir_of,
            )


def _place(revision: RevisionView, heir_of: Departure | None, placer: Placer) -> str | None:
    if heir_of is None:
        return placer.place(revision)
    return placer.place(revision, away_from=heir_of.away_from, only=heir_of.target)


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


def _reasons_to_stay(staying: Census) -> Iterator[AssignReplica]:
    """Yield what has changed about why replicas stay that would be better off elsewhere."""
    for replica in staying.everyone_live:
        why = staying.stuck.get(replica.uid, "")
        if why and why != replica.waiting:
            yield AssignReplica(
                replica=replica.uid,
                node=None,
                resources=replica.resources,
                reason=Reason.RESCHEDULE_WAITS,
                message=why,
                waiting=why,
                is_news=without_numbers(why) != without_numbers(replica.waiting),
            )


def _start(start: _Start, sizing: Sizing, placer: Placer) -> StartReplica:
    revision, node = start.revision, start.node
    desired = sizing.desired[revision.number]
    why_not = placer.explain(revision).message if node is None else ""
    origin = _origin(start)
    return StartReplica(
        revision=revision.number,
        slot=start.slot,
        node=node,
        resources=revision.resources,
        reason=_reason_to_start(start, sizing) if node else Reason.UNPLACEABLE,
        message=origin or f"{_facts(start, desired)}, {_outcome(node, why_not)}",
        waiting=why_not,
        replaces=start.heir_of.replica.uid if start.heir_of else "",
        moves=start.heir_of.moves if start.heir_of else 0,
        origin=origin,
    )


def _origin(start: _Start) -> str:
    """Return where a replica comes from, for people; empty for one that merely was missing."""
    if start.heir_of is None:
        return ""
    return f"moved from {start.heir_of.replica.node} to {start.node} {start.heir_of.why}"


def _free_slots(snapshot: Snapshot, revision: int) -> Iterator[int]:
    """Yield the slots nobody has; that of a replica which stops in this pass is not free yet."""
    live = (view for view in snapshot.replicas if view.phase.is_live)
    taken = {view.slot for view in live if view.revision == revision}
    return (slot for slot in numbers() if slot not in taken)


def _reason_to_start(start: _Start, sizing: Sizing) -> Reason:
    """Return why one starts: one leaves, there is a gap, or its revision grew."""
    if start.heir_of is not None:
        return start.heir_of.reason
    if start.ahead >= sizing.desired[start.revision.number]:
        return Reason.DRAIN
    change = sizing.changes.get(start.revision.number)
    grew = change and start.ahead >= start.revision.desired
    return change.reason if change and grew else Reason.REPLACE_MISSING


def _facts(start: _Start, desired: int) -> str:
    wanted = count(desired, "replica")
    facts = f"revision {start.revision.number} should have {wanted} and has {start.live}"
    return f"{facts} ({start.leaving} of which leave their nodes)" if start.leaving else facts


def _outcome(node: str | None, why_not: str) -> str:
    return f"so one starts on {node}" if node else f"but one has to wait: {why_not}"

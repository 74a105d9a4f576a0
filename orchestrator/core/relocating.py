"""Carry out moves that people asked for, one at a time for each deployment.

The replica that moves is a leaving one, so its replacement serves first (`migrating.py`). A move
whose situation has changed since it was asked for is dropped, with the reason; nothing is moved
while anything else is going on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from orchestrator.core import rescheduling
from orchestrator.core.classify import Census, Departure
from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.placement.objections import Effort, Objection, having
from orchestrator.core.placement.placer import Placer
from orchestrator.core.plan import EndMove, Reason
from orchestrator.core.snapshot import MoveView, ReplicaView, Snapshot
from orchestrator.core.wording import join

_FAILED_THERE = having(
    "a replica of the deployment that failed lately",
    remedy="once nothing fails there",
    effort=Effort.REPAIR,
)


def with_asked(snapshot: Snapshot, census: Census) -> tuple[Census, tuple[EndMove, ...]]:
    """Return the census with the replica that moves next, and the moves dropped before it."""
    dropped = []
    for move in snapshot.asked:
        why_not = _why_dropped(move, snapshot, census)
        if why_not:
            dropped.append(_dropped(move, why_not))
            continue
        view = _live(move.replica, census)
        if view is None:
            # It made way for its successor, which has still to serve.
            return census, tuple(dropped)
        leaves = Departure(
            replica=view, reason=Reason.REBALANCE, why=f"({move.why})", target=move.target
        )
        return replace(census, leaving={**census.leaving, view.uid: leaves}), tuple(dropped)
    return census, tuple(dropped)


def done(snapshot: Snapshot, staying: Census) -> Iterator[EndMove]:
    """Yield the moves that are made: the replica has left, and its successor serves."""
    for move in snapshot.asked:
        heir = _heir(move, staying)
        has_left = _live(move.replica, staying) is None
        if heir is not None and has_left and heir.uid in staying.available:
            message = f"moved from {move.source} to {heir.node} ({move.why})"
            yield EndMove(move=move.id, done=True, reason=Reason.MOVE_ENDED, message=message)


def called_off(snapshot: Snapshot) -> Iterator[EndMove]:
    """Yield the end of every move of a deployment that is being deleted."""
    return (_dropped(move, "the deployment is being deleted") for move in snapshot.asked)


def objections(snapshot: Snapshot, view: ReplicaView, target: str) -> tuple[Objection, ...]:
    """Return what speaks against a replica on a node, beside itself or once it has left."""
    (revision,) = [item for item in snapshot.revisions if item.number == view.revision]
    others = tuple(item for item in snapshot.replicas if item is not view)
    alone = replace(snapshot, replicas=others)
    if any(item.node == target and rescheduling.recent(item, snapshot) for item in others):
        return (_FAILED_THERE,)
    return Placer(snapshot).objections(target, revision) or Placer(alone).objections(
        target, revision
    )


def _dropped(move: MoveView, why: str) -> EndMove:
    message = f"the move of {move.replica} from {move.source} to {move.target} is dropped: {why}"
    return EndMove(move=move.id, done=False, reason=Reason.MOVE_ENDED, message=message)


def _why_dropped(move: MoveView, snapshot: Snapshot, census: Census) -> str:
    """Return why a move makes no sense any more; empty while it does."""
    view, heir = _live(move.replica, census), _heir(move, census)
    if view is None and heir is None:
        return "the replica is there no longer"
    if snapshot.rollout.state is not RolloutState.COMPLETE:
        return "a rollout has begun, which places every replica anew"
    if heir is not None and rescheduling.is_failing(heir, snapshot):
        return f"its successor keeps failing on {heir.node}"
    if view is None:
        return ""
    if view.uid in census.leaving:
        return f"it leaves {view.node} already ({census.leaving[view.uid].why})"
    return "" if heir is not None else _why_not_begun(move, view, snapshot, census)


def _why_not_begun(move: MoveView, view: ReplicaView, snapshot: Snapshot, census: Census) -> str:
    if len(census.available) != census.total or census.total != snapshot.spec.replicas:
        return "not every replica of the deployment serves"
    own = [other.node for other in census.everyone_live]
    if own.count(view.node) <= own.count(move.target):
        return f"{move.target} has as many replicas of the deployment as {view.node} by now"
    against = objections(snapshot, view, move.target)
    return f"{move.target} {join([item.singular for item in against])}" if against else ""


def _live(uid: str, census: Census) -> ReplicaView | None:
    return next((view for view in census.everyone_live if view.uid == uid), None)


def _heir(move: MoveView, census: Census) -> ReplicaView | None:
    return next((view for view in census.everyone_live if view.replaces == move.replica), None)

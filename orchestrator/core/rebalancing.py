"""Propose few moves after which replicas are spread better over the nodes.

Greedy over single moves, the one that gains most first. A move gains when fewer replicas of one
deployment share a node, or else when the fuller of two nodes becomes clearly less reserved. Each
step makes the pair (replicas sharing nodes, reservations from the fullest node down) smaller, so
it comes to an end. Only deployments at rest take part, only nodes on which the planner itself would
place the replica, and no replica twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from orchestrator.core import landscape
from orchestrator.core.candidates import Candidate, Candidates
from orchestrator.core.classify import take_census
from orchestrator.core.landscape import Landscape, Spread
from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.placement.resources import share
from orchestrator.core.scaling import most_at_once
from orchestrator.core.snapshot import NodeView, ReplicaView, Snapshot
from orchestrator.core.spec import Amounts
from orchestrator.core.wording import be, cores, count, join, memory

MOST_MOVES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One replica that would be better elsewhere.

    `pairs` and `relief` are what is gained: fewer pairs on one node, thousandths the fuller node is
    less reserved. It costs one restart, and about `seconds` in which one replica more runs, or in
    which `fewer` serve.
    """

    deployment: str
    replica: str
    slot: int
    source: str
    target: str
    pairs: int
    relief: int
    gain: str
    seconds: int
    fewer: int
    cost: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Moves in their order, with what they do to the whole; `skipped` says who takes no part.

    `is_cut` tells that more could be gained after these.
    """

    moves: tuple[Move, ...]
    before: Spread
    after: Spread
    skipped: tuple[str, ...] = ()
    is_cut: bool = False


def propose(snapshots: Sequence[Snapshot]) -> Proposal:
    """Return what to move; the snapshots are those of all deployments at one moment."""
    land = Landscape(snapshots)
    why_not = {item.deployment: _why_skipped(item) for item in snapshots}
    taking_part = [name for name, why in why_not.items() if not why]
    before, moves = land.spread(), list[Move]()
    possible = Candidates(land, taking_part)
    while (found := _best(land, possible)) is not None and len(moves) < MOST_MOVES:
        moves.append(_described(land, found))
        land.move(found.deployment, found.view, found.target)
        possible.renew(found.deployment)
    return Proposal(
        moves=tuple(moves),
        before=before,
        after=land.spread() if moves else before,
        skipped=tuple(f"{name}: {why}" for name, why in why_not.items() if why),
        is_cut=found is not None,
    )


def _best(land: Landscape, possible: Candidates) -> Candidate | None:
    """Return the move that gains most of those that may be made."""
    for found in possible.best_first():
        if land.is_allowed(found.deployment, found.view, found.target):
            return found
    return None


def _described(land: Landscape, found: Candidate) -> Move:
    snapshot, view = land.snapshots[found.deployment], found.view
    seconds = _seconds_to_serve(snapshot)
    surges = most_at_once(snapshot.spec) > snapshot.spec.replicas
    return Move(
        deployment=snapshot.deployment,
        replica=view.uid,
        slot=view.slot,
        source=found.source,
        target=found.target,
        pairs=found.pairs,
        relief=max(0, found.relief),
        gain=_gain(land, found),
        seconds=seconds,
        fewer=0 if surges else 1,
        cost=_cost_in_words(view, seconds, surges=surges),
    )


def _gain(land: Landscape, found: Candidate) -> str:
    snapshot = land.snapshots[found.deployment]
    if found.pairs:
        own = landscape.own(snapshot)
        here, there = own[found.source], own[found.target]
        return (
            f"{found.source} runs {here} of its {count(snapshot.spec.replicas, 'replica')} and "
            f"{found.target} {there}; then {here - 1} and {there + 1}"
        )
    source, target = land.nodes[found.source], land.nodes[found.target]
    before = [_percent(node.reserved, node) for node in (source, target)]
    left = _percent(source.reserved - found.view.reserved, source)
    taken = _percent(target.reserved + found.view.reserved, target)
    return (
        f"{source.name} is {before[0]} reserved and {target.name} {before[1]}; "
        f"then {left} and {taken}"
    )


def _why_skipped(snapshot: Snapshot) -> str:
    """Return why a deployment takes no part; empty when it does."""
    if snapshot.deleting:
        return "it is being deleted"
    if snapshot.asked:
        return "it is being rebalanced already"
    if snapshot.rollout.state is not RolloutState.COMPLETE:
        return "its rollout is not complete"
    census, wanted = take_census(snapshot), snapshot.spec.replicas
    if census.leaving:
        return f"{count(len(census.leaving), 'replica')} {be(len(census.leaving))} moving already"
    if not len(census.available) == census.total == wanted:
        serving = len(census.available)
        return f"{serving} of {count(wanted, 'replica')} {be(serving)} available"
    return ""


def _percent(reserved: Amounts, node: NodeView) -> str:
    return f"{share(reserved, node.capacity) // 10} %"


def _seconds_to_serve(snapshot: Snapshot) -> int:
    """Return about how long a replica takes until it is available: what the quickest one took."""
    took = [view.ready_at - view.created_at for view in snapshot.replicas if view.ready_at]
    quickest = min(took, default=timedelta(0)).total_seconds()
    return max(1, round(quickest)) + snapshot.spec.min_ready_seconds


def _cost_in_words(view: ReplicaView, seconds: int, *, surges: bool) -> str:
    if not surges:
        return f"one replica starts anew, and for about {seconds} s one fewer serves"
    asks = view.reserved
    parts = [
        *([f"{cores(asks.cpu_millis)} cpu"] if asks.cpu_millis else []),
        *([f"{memory(asks.memory_bytes)} of memory"] if asks.memory_bytes else []),
    ]
    also = f", which reserves {join(parts)} more" if parts else ""
    return f"one replica starts anew, and for about {seconds} s one more runs{also}"

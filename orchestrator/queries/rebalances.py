"""What would be moved to spread replicas better, and how far it is where that is being done."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from orchestrator.core import rebalancing
from orchestrator.core.landscape import Spread
from orchestrator.core.lifecycle import GONE_PHASES
from orchestrator.core.rebalancing import Proposal
from orchestrator.models import MoveState, Rebalance, RebalanceMove, Replica
from orchestrator.queries import snapshots

STATES = ("proposed", "none", "running", "done", "cancelled")
MOVE_STATES = ("proposed", "waiting", "moving", "done", "dropped", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRecord:
    """One move: what it gains and costs, and how far it is. `successor` runs at the target."""

    namespace: str
    deployment: str
    uid: str
    slot: int
    source: str
    target: str
    pairs: int
    relief: int
    gain: str
    seconds: int
    fewer: int
    cost: str
    state: str
    message: str
    successor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RebalanceRecord:
    """A rebalance, proposed, running or ended; `state` is `none` when there never was one.

    `digest` names a proposal, so that what is begun is what was looked at.
    """

    id: int | None
    state: str
    message: str
    digest: str
    asked_by: str
    asked_at: datetime | None
    ended_at: datetime | None
    before: Spread
    after: Spread
    moves: tuple[MoveRecord, ...]
    skipped: tuple[str, ...] = ()
    is_cut: bool = False

    @property
    def ended(self) -> int:
        """Return how many moves have come to their end."""
        return sum(move.state in {"done", "dropped", "cancelled"} for move in self.moves)


def propose(*, now: datetime) -> Proposal:
    """Return what to move now; seven queries, however many deployments there are.

    Deployments with rules about who runs beside them take two more each.
    """
    rows = list(snapshots.deployments().order_by("namespace_id", "name"))
    found = snapshots.with_failures(rows, snapshots.load_all(rows, now=now), now=now)
    return rebalancing.propose(found)


def digest_of(proposal: Proposal) -> str:
    """Return a short name for what a proposal moves."""
    moves = [f"{move.replica} {move.source} {move.target}" for move in proposal.moves]
    return hashlib.sha256("\n".join(moves).encode()).hexdigest()[:16]


def proposed(*, now: datetime) -> RebalanceRecord:
    """Return what would be moved now, for people and scripts."""
    proposal = propose(now=now)
    message = "" if proposal.moves else "nothing to gain: no move would spread replicas better"
    return RebalanceRecord(
        id=None,
        state="proposed",
        message=message,
        digest=digest_of(proposal),
        asked_by="",
        asked_at=None,
        ended_at=None,
        before=proposal.before,
        after=proposal.after,
        moves=tuple(_proposed(move) for move in proposal.moves),
        skipped=proposal.skipped,
        is_cut=proposal.is_cut,
    )


def latest() -> RebalanceRecord:
    """Return the rebalance that runs, or the latest one that did."""
    row = Rebalance.objects.order_by("-pk").first()
    if row is None:
        nothing = Spread(pairs=0, fullest=0, emptiest=0)
        return RebalanceRecord(
            id=None,
            state="none",
            message="nothing has been rebalanced yet",
            digest="",
            asked_by="",
            asked_at=None,
            ended_at=None,
            before=nothing,
            after=nothing,
            moves=(),
        )
    moves = list(row.moves.order_by("pk"))
    return RebalanceRecord(
        id=row.pk,
        state=_state(row),
        message="",
        digest="",
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        ended_at=row.ended_at,
        before=Spread(
            pairs=row.pairs_before, fullest=row.fullest_before, emptiest=row.emptiest_before
        ),
        after=Spread(pairs=row.pairs_after, fullest=row.fullest_after, emptiest=row.emptiest_after),
        moves=_records(moves),
    )


def _state(row: Rebalance) -> str:
    if row.running:
        return "running"
    return "cancelled" if row.cancelled else "done"


def _records(moves: list[RebalanceMove]) -> tuple[MoveRecord, ...]:
    """Return the moves with their successors; of a deployment's open ones the first is begun."""
    names = [move.replica for move in moves]
    heirs = Replica.objects.filter(replaces__in=names).exclude(phase__in=GONE_PHASES)
    successors = dict(heirs.order_by("pk").values_list("replaces", "uid"))
    return tuple(_record(move, successors.get(move.replica, "")) for move in moves)


def _record(row: RebalanceMove, successor: str) -> MoveRecord:
    state, message = str(row.state), row.message
    if row.state == MoveState.OPEN:
        state = "moving" if successor else "waiting"
        message = _what_it_waits_for(row, successor)
    return MoveRecord(
        namespace=row.namespace,
        deployment=row.name,
        uid=row.replica,
        slot=row.slot,
        source=row.source,
        target=row.target,
        pairs=row.pairs,
        relief=row.relief,
        gain=row.gain,
        seconds=row.seconds,
        fewer=row.fewer,
        cost=row.cost,
        state=state,
        message=message,
        successor=successor,
    )


def _what_it_waits_for(row: RebalanceMove, successor: str) -> str:
    if successor:
        return f"{successor} on {row.target} has still to serve"
    return f"it waits for its turn: one at a time of {row.namespace}/{row.name}"


def _proposed(move: rebalancing.Move) -> MoveRecord:
    namespace, _, deployment = move.deployment.partition("/")
    return MoveRecord(
        namespace=namespace,
        deployment=deployment,
        uid=move.replica,
        slot=move.slot,
        source=move.source,
        target=move.target,
        pairs=move.pairs,
        relief=move.relief,
        gain=move.gain,
        seconds=move.seconds,
        fewer=move.fewer,
        cost=move.cost,
        state="proposed",
        message="",
        successor="",
    )

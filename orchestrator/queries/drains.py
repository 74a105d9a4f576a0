"""What a drain of a node does and waits for, replica by replica: before it begins and meanwhile.

The planner itself is asked, with the node marked as draining in the snapshot: what is shown is
what it would do in the next pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Count, Q

from orchestrator.core.lifecycle import GONE_PHASES, RolloutState
from orchestrator.core.plan import Plan, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.snapshot import ReplicaView, Snapshot
from orchestrator.core.wording import count
from orchestrator.models import Deployment, Node
from orchestrator.queries import snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One replica that is on the node: what happens to it next, and whether that is stuck."""

    namespace: str
    deployment: str
    uid: str
    slot: int
    message: str
    blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How far a drain is; `moves` are replicas that are still on the node."""

    node: str
    draining: bool
    started_at: datetime | None
    until: datetime | None
    drained_at: datetime | None
    moves: tuple[Move, ...]

    @property
    def blocked(self) -> int:
        """Return how many of these replicas cannot leave as things are."""
        return sum(move.blocked for move in self.moves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One deployment, and how many of its replicas are on a node."""

    deployment: Deployment
    replicas: int


def loads(name: str) -> list[Load]:
    """Return what is on a node, deployment by deployment in the order of their names."""
    there = Q(replica_set__node__name=name) & ~Q(replica_set__phase__in=GONE_PHASES)
    rows = Deployment.objects.annotate(there=Count("replica_set", filter=there)).filter(there__gt=0)
    ordered = rows.order_by("namespace_id", "name")
    return [Load(deployment=row, replicas=row.there) for row in ordered]


def get(name: str, *, now: datetime, among: Sequence[Load] | None = None) -> Drain | None:
    """Return the drain of a node, or what one would do; None when there is no such node.

    `among` limits `moves` to some of the node's deployments: the planner is asked about each, which
    takes a millisecond or two. Seven queries without it, however many there are.
    """
    node = Node.objects.filter(name=name).first()
    if node is None:
        return None
    wanted = loads(name) if among is None else among
    found = snapshots.load_all([load.deployment for load in wanted], now=now)
    return Drain(
        node=name,
        draining=node.draining,
        started_at=node.drain_started_at if node.draining else None,
        until=node.drain_until if node.draining else None,
        drained_at=node.drained_at if node.draining else None,
        moves=tuple(move for snapshot in found for move in _moves(_draining(snapshot, name), name)),
    )


def _draining(snapshot: Snapshot, name: str) -> Snapshot:
    nodes = (
        replace(node, draining=True, cordoned=True) if node.name == name else node
        for node in snapshot.nodes
    )
    return replace(snapshot, nodes=tuple(nodes))


def _moves(snapshot: Snapshot, name: str) -> Iterator[Move]:
    plan = make_plan(snapshot)
    namespace, _, deployment = snapshot.deployment.partition("/")
    stops = {action.replica for action in plan.actions if isinstance(action, StopReplica)}
    message, blocked = _next_step(snapshot, plan, name)
    for view in snapshot.replicas:
        if view.node != name:
            continue
        is_leaving = not view.phase.is_live or view.uid in stops
        yield Move(
            namespace=namespace,
            deployment=deployment,
            uid=view.uid,
            slot=view.slot,
            message="it stops" if is_leaving else message,
            blocked=blocked and not is_leaving,
        )


def _next_step(snapshot: Snapshot, plan: Plan, name: str) -> tuple[str, bool]:
    """Return what the deployment does next about the node, and whether it cannot go on."""
    starts = [action for action in plan.actions if isinstance(action, StartReplica)]
    waiting = [action.waiting for action in starts if action.node is None]
    others = [view for view in snapshot.replicas if view.node != name and view.phase.is_live]
    waiting += [view.waiting for view in others if view.node is None]
    if waiting:
        return f"its replacement waits: {waiting[0]}", True
    if starts:
        where = ", ".join(sorted({str(action.node) for action in starts}))
        return f"a replacement starts on {where} first", False
    if coming := [view for view in others if not view.ready]:
        return f"its replacement on {_where(coming)} is not ready yet", False
    if plan.rollout.state is not RolloutState.COMPLETE and not snapshot.spec.paused:
        return f"the rollout to revision {snapshot.current} moves it", False
    most = count(max(1, snapshot.spec.policy.max_surge), "replica")
    return f"it waits for its turn: {most} at a time", False


def _where(views: list[ReplicaView]) -> str:
    return ", ".join(sorted({str(view.node) for view in views}))

"""All that a decision may look at: one deployment, its replicas, the nodes, and the time.

A snapshot is a value: two equal snapshots give equal plans. Sequences come sorted by their key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.core.constraints import NO_RULES, Labels, PlacementRules, PodTerm, Taint
from orchestrator.core.lifecycle import NodeState, ReplicaPhase, RolloutState
from orchestrator.core.spec import (
    NO_RESOURCES,
    NOTHING,
    RESCHEDULING,
    Amounts,
    DeploymentSpec,
    ReschedulePolicy,
    Resources,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionView:
    """One revision: `desired` is how many replicas it should have now (a ReplicaSet's replicas).

    `completed` tells that a rollout to it has finished once; `is_rollback` that it was made by
    rolling back.
    """

    number: int
    desired: int = 0
    resources: Resources = NO_RESOURCES
    runtime_class: str = ""
    node_selector: Labels = ()
    labels: Labels = ()
    rules: PlacementRules = NO_RULES
    image: str = ""
    completed: bool = False
    is_rollback: bool = False
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaView:
    """One replica row. `resources` are those in force or on their way to it.

    `reserved` is what its node keeps free for it: more than `resources` ask for while a change to
    less is on its way.
    `update_failed` tells that the node could not change its limits to those of its revision, so
    asking again is pointless until the revision changes.
    `failures` are the latest times it failed on its node. `replaces` is the one it was started
    instead of; `moves` says how often in a row that was because it kept failing.

    `routed` tells that gateways are told to send it new connections, `routes_generation` with which
    generation of routes that was changed last. One that is withdrawn is so since `withdrawn_at`,
    for the reason `withdrawn_for`.
    """

    uid: str
    revision: int
    slot: int
    node: str | None
    phase: ReplicaPhase
    ready: bool = False
    ready_at: datetime | None = None
    restarts: int = 0
    deletion_cost: int = 0
    resources: Resources = NO_RESOURCES
    reserved: Amounts = NOTHING
    update_failed: bool = False
    waiting: str = ""
    routed: bool = False
    routes_generation: int = 0
    withdrawn_at: datetime | None = None
    withdrawn_for: str = ""
    failures: tuple[datetime, ...] = ()
    replaces: str = ""
    moves: int = 0
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayView:
    """What routes traffic on one node that is not lost.

    `generation` of the routes is in force there; `busy` are replicas that get no new connections
    and still have some through it.
    """

    node: str
    generation: int = 0
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """One node: what it is, and what it carries now.

    `replicas` and `reserved` count those of all deployments until they are gone. `capacity` is
    nothing where the node has not stated any; then nothing is checked against it. `failures` is
    how many replicas of this deployment failed there lately, `images` are those of this deployment
    that have run there. A draining one is to be emptied, by
    `drain_until` at the latest if that is given; `lost_at` is since when a lost one is lost.
    """

    name: str
    state: NodeState = NodeState.READY
    cordoned: bool = False
    draining: bool = False
    drain_until: datetime | None = None
    lost_at: datetime | None = None
    labels: Labels = ()
    taints: tuple[Taint, ...] = ()
    runtimes: tuple[str, ...] = ()
    replicas: int = 0
    capacity: Amounts = NOTHING
    reserved: Amounts = NOTHING
    failures: int = 0
    images: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighbourView:
    """Some like replicas on one node, for rules that look at who runs where.

    `live` do not leave, `leaving` still take room; `apart` is whom they do not want near them.
    """

    node: str
    labels: Labels = ()
    live: int = 0
    leaving: int = 0
    apart: tuple[PodTerm, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveView:
    """A move of one replica that people asked for: from which node to which, and what is gained."""

    id: int
    replica: str
    source: str
    target: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutView:
    """What the latest pass wrote down, so that this one can tell progress and scaling apart.

    `scaled_for` and `scaled_max` are replicas and replicas + surge when counts were last scaled
    (Kubernetes' desired-replicas and max-replicas annotations). `progressed_at` is when the
    rollout last moved; the four counts are what it had reached then.
    """

    state: RolloutState = RolloutState.PROGRESSING
    scaled_for: int = 0
    scaled_max: int = 0
    progressed_at: datetime
    updated: int = 0
    old: int = 0
    ready: int = 0
    available: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The frozen input of the planner. `current` is the number of the revision asked for.

    `revisions` are sorted by number, `replicas` by (revision, slot, uid), `nodes` by name.
    Gone replicas are left out. `asked` are the moves that are still to be made, the first one
    first. `neighbours` are replicas of other deployments of the namespace, as far as a rule looks
    at them. `gateways` are those that are to be waited for. One that is `asleep` has no replica
    because its autoscaler lets it have none.
    """

    now: datetime
    deployment: str
    spec: DeploymentSpec
    current: int
    deleting: bool = False
    rollout: RolloutView
    revisions: tuple[RevisionView, ...] = ()
    replicas: tuple[ReplicaView, ...] = ()
    nodes: tuple[NodeView, ...] = ()
    neighbours: tuple[NeighbourView, ...] = ()
    gateways: tuple[GatewayView, ...] = ()
    asked: tuple[MoveView, ...] = ()
    rescheduling: ReschedulePolicy = RESCHEDULING
    asleep: bool = False

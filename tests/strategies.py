"""Hypothesis strategies for legal snapshots of the planner."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from orchestrator.core.constraints import (
    NodeTerm,
    PlacementRules,
    PodTerm,
    SpreadRule,
    Taint,
    TaintEffect,
    Toleration,
)
from orchestrator.core.lifecycle import LEAVING_PHASES, NodeState, ReplicaPhase, RolloutState
from orchestrator.core.snapshot import (
    GatewayView,
    NeighbourView,
    NodeView,
    ReplicaView,
    RevisionView,
    RolloutView,
    Snapshot,
)
from orchestrator.core.spec import (
    NOTHING,
    DeploymentSpec,
    OnFailure,
    Resources,
    Strategy,
    UpdatePolicy,
)
from tests.factories import HOUR_AGO, NOW, amounts, needs, requests

policies = st.one_of(
    st.tuples(st.integers(0, 3), st.integers(0, 3))
    .filter(any)
    .map(lambda bounds: UpdatePolicy(max_surge=bounds[0], max_unavailable=bounds[1])),
    st.just(UpdatePolicy(strategy=Strategy.RECREATE)),
)

rolling_policies = policies.filter(lambda policy: policy.strategy is Strategy.ROLLING_UPDATE)

resources = st.sampled_from((Resources(), requests(cpu=500), requests(cpu=200, memory=64)))

taints = st.sampled_from(
    (
        (),
        (Taint(key="gpu", effect=TaintEffect.NO_SCHEDULE),),
        (Taint(key="slow", effect=TaintEffect.PREFER_NO_SCHEDULE),),
    )
)

zones = st.sampled_from(("1", "2"))
OWN = needs("app", "In", "web")
OTHERS = needs("app", "In", "db")
pod_terms = st.lists(
    st.builds(
        PodTerm,
        selector=st.sampled_from((OWN, OTHERS)),
        topology_key=st.sampled_from(("zone", "rack")),
        weight=st.integers(1, 3),
    ),
    max_size=1,
).map(tuple)

rules = st.builds(
    PlacementRules,
    tolerations=st.sampled_from(((), (Toleration(key="gpu"),))),
    node_required=st.sampled_from(((), (NodeTerm(selector=needs("disk")),))),
    node_preferred=st.sampled_from(((), (NodeTerm(selector=needs("disk"), weight=2),))),
    near_required=pod_terms,
    near_preferred=pod_terms,
    apart_required=pod_terms,
    apart_preferred=pod_terms,
    spread=st.lists(
        st.builds(
            SpreadRule,
            selector=st.just(OWN),
            topology_key=st.just("zone"),
            max_skew=st.integers(1, 2),
            is_required=st.booleans(),
        ),
        max_size=1,
    ).map(tuple),
)
plain_rules = st.just(PlacementRules())

neighbours = st.lists(
    st.builds(
        NeighbourView,
        node=st.sampled_from("abcd"),
        labels=st.sampled_from(((("app", "db"),), (("app", "web"),))),
        live=st.integers(0, 2),
        leaving=st.integers(0, 2),
        apart=pod_terms,
    ),
    max_size=2,
).map(tuple)

specs = st.builds(
    DeploymentSpec,
    replicas=st.integers(0, 7),
    policy=policies,
    min_ready_seconds=st.sampled_from((0, 10)),
    progress_deadline_seconds=st.just(60),
    revision_history_limit=st.integers(0, 3),
    paused=st.booleans(),
    on_failure=st.sampled_from(OnFailure),
    fenced=st.booleans(),
)

nodes = st.lists(
    st.builds(
        NodeView,
        name=st.sampled_from("abcd"),
        state=st.sampled_from(NodeState),
        cordoned=st.booleans(),
        draining=st.booleans(),
        lost_at=st.sampled_from((None, NOW, NOW - timedelta(seconds=5))),
        drain_until=st.sampled_from((None, NOW - timedelta(1), NOW + timedelta(1))),
        labels=st.tuples(st.sampled_from(((), (("disk", "ssd"),))), zones).map(
            lambda drawn: (*drawn[0], ("zone", drawn[1]))
        ),
        taints=taints,
        runtimes=st.sampled_from((("docker",), ("docker", "sandbox"))),
        replicas=st.integers(0, 5),
        capacity=st.sampled_from((amounts(), amounts(1000, 1000), amounts(4000, 200))),
        reserved=st.sampled_from((amounts(), amounts(300, 50), amounts(1200, 300))),
        failures=st.integers(0, 1),
    ),
    max_size=4,
    unique_by=lambda node: node.name,
).map(tuple)

ages = st.integers(-5, 200).map(lambda seconds: NOW - timedelta(seconds=seconds))

rollouts = st.builds(
    RolloutView,
    state=st.sampled_from(RolloutState),
    scaled_for=st.integers(0, 7),
    scaled_max=st.integers(0, 10),
    progressed_at=ages,
    updated=st.integers(0, 7),
    old=st.integers(0, 7),
    ready=st.integers(0, 7),
    available=st.integers(0, 7),
)


@st.composite
def replicas_of(draw, revision: int, number: int):
    """Draw `number` live replicas of a revision, and perhaps some that are stopping."""
    drawn = []
    for slot in range(number + draw(st.integers(0, 2))):
        live = slot < number
        phases = [phase for phase in ReplicaPhase if phase.is_live]
        phase = draw(st.sampled_from(phases if live else LEAVING_PHASES))
        in_force = draw(resources)
        placed = phase is not ReplicaPhase.PENDING
        ready = phase is ReplicaPhase.RUNNING and draw(st.booleans())
        drawn.append(
            ReplicaView(
                uid=f"r{revision}-{slot}",
                revision=revision,
                slot=slot,
                node=draw(st.sampled_from("abcd")) if placed else None,
                phase=phase,
                ready=ready,
                ready_at=draw(ages) if ready else None,
                restarts=draw(st.integers(0, 2)),
                deletion_cost=draw(st.integers(-1, 1)),
                resources=in_force,
                reserved=in_force.requested if placed else NOTHING,
                update_failed=draw(st.booleans()),
                created_at=HOUR_AGO,
                **_routes(draw, phase),
            )
        )
    return drawn


def _routes(draw, phase: ReplicaPhase) -> dict[str, object]:
    """Draw what gateways were told of a replica: nothing, that it serves, or that it does not."""
    if phase is ReplicaPhase.WITHDRAWN:
        return {
            "routes_generation": draw(st.integers(0, 3)),
            "withdrawn_at": draw(ages),
            "withdrawn_for": "ScaleDown",
        }
    generation = draw(st.integers(0, 3))
    routed = phase is ReplicaPhase.RUNNING and generation > 0 and draw(st.booleans())
    return {"routes_generation": generation, "routed": routed}


gateways = st.lists(
    st.builds(
        GatewayView,
        node=st.sampled_from("abcd"),
        generation=st.integers(0, 4),
        busy=st.frozensets(st.sampled_from(("r1-0", "r1-1", "r2-1")), max_size=2),
    ),
    max_size=3,
    unique_by=lambda gateway: gateway.node,
).map(tuple)


@st.composite
def snapshots(draw, spec=specs, *, scaled=None, deleting=None):
    """Draw a snapshot as a pass may meet it: each revision has as many replicas as desired.

    With `scaled` false, no change of the wanted number is due.
    """
    wish = draw(spec)
    count = draw(st.integers(1, 3))
    sizes = draw(st.lists(st.integers(0, 6), min_size=count, max_size=count))
    rollout = draw(rollouts)
    if scaled is False:
        fields = {name: getattr(rollout, name) for name in rollout.__slots__}
        rollout = RolloutView(**{**fields, "scaled_for": wish.replicas})
    replicas = tuple(
        replica
        for number, size in enumerate(sizes, 1)
        for replica in draw(replicas_of(number, size - draw(st.integers(0, min(size, 1)))))
    )
    return Snapshot(
        now=NOW,
        deployment="default/web",
        spec=wish,
        current=count,
        deleting=draw(st.booleans()) if deleting is None else deleting,
        rollout=rollout,
        revisions=tuple(draw(_revision(number, size)) for number, size in enumerate(sizes, 1)),
        replicas=replicas,
        nodes=tuple(_reserving(node, replicas) for node in draw(nodes)),
        neighbours=draw(neighbours),
        gateways=draw(gateways),
    )


def _reserving(node: NodeView, replicas: tuple[ReplicaView, ...]) -> NodeView:
    """Return the node with what the deployment's own replicas reserve there added."""
    mine = (view.reserved for view in replicas if view.node == node.name)
    return replace(node, reserved=sum(mine, node.reserved))


def _revision(number: int, desired: int):
    return st.builds(
        RevisionView,
        number=st.just(number),
        desired=st.just(desired),
        resources=resources,
        runtime_class=st.sampled_from(("", "sandbox")),
        node_selector=st.sampled_from(((), (("disk", "ssd"),))),
        labels=st.just((("app", "web"),)),
        rules=st.one_of(plain_rules, rules),
        completed=st.booleans(),
        is_rollback=st.booleans(),
        created_at=st.just(HOUR_AGO),
    )

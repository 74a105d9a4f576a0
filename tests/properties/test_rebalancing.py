"""What must hold of every proposal to rebalance, and while it is carried out."""

from collections import Counter
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core import candidates, rebalancing
from orchestrator.core.classify import take_census
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement.filters import objections
from orchestrator.core.plan import StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.snapshot import MoveView
from orchestrator.core.spec import NOTHING, Amounts, Strategy
from tests.factories import (
    HOUR_AGO,
    a_node,
    a_replica,
    a_revision,
    a_running_snapshot,
    a_spec,
    amounts,
    carried_out,
    requests,
)
from tests.strategies import policies, taints

PROFILE = settings(max_examples=2 * settings().max_examples)
PASSES = 90


@st.composite
def landscapes(draw):
    """Draw deployments at rest on four nodes, some of which are closed, tainted, small or full."""
    nodes = [
        a_node(
            name,
            cordoned=draw(st.sampled_from((False, False, False, True))),
            taints=draw(taints),
            capacity=draw(st.sampled_from((NOTHING, amounts(1000), amounts(2000), amounts(400)))),
        )
        for name in "abcd"
    ]
    found = []
    for number in range(draw(st.integers(1, 3))):
        size, cpu = draw(st.integers(0, 5)), draw(st.sampled_from((0, 100, 300)))
        found.append(
            a_running_snapshot(
                size,
                deployment=f"default/w{number}",
                spec=a_spec(size, policy=draw(policies)),
                revisions=(a_revision(1, size, completed=True, resources=requests(cpu=cpu)),),
                replicas=tuple(
                    a_replica(
                        f"w{number}-{slot}",
                        slot=slot,
                        node=draw(st.sampled_from("aabcd")),
                        resources=requests(cpu=cpu),
                        reserved=amounts(cpu),
                    )
                    for slot in range(size)
                ),
            )
        )
    return _on_common_nodes(found, nodes)


def _on_common_nodes(snapshots, nodes):
    """Return the snapshots with what all of them together reserve on each node."""
    everyone = [view for item in snapshots for view in item.replicas]
    carried = []
    for node in nodes:
        here = [view for view in everyone if view.node == node.name]
        reserved = sum((view.reserved for view in here), Amounts())
        carried.append(replace(node, reserved=reserved, replicas=len(here)))
    return [replace(item, nodes=tuple(carried)) for item in snapshots]


def _pairs(snapshots):
    counts = (Counter(view.node for view in item.replicas) for item in snapshots)
    return sum(n * (n - 1) // 2 for own in counts for n in own.values())


def _with_moves(snapshots, moves):
    """Return the snapshots with the moves asked for."""
    asked = {item.deployment: [] for item in snapshots}
    for number, move in enumerate(moves):
        view = MoveView(
            id=number, replica=move.replica, source=move.source, target=move.target, why=move.gain
        )
        asked[move.deployment].append(view)
    return [replace(item, asked=tuple(asked[item.deployment])) for item in snapshots]


@PROFILE
@given(snapshots=landscapes())
def test_the_same_state_gives_the_same_proposal_whatever_the_order(snapshots):
    proposal = rebalancing.propose(snapshots)

    assert rebalancing.propose(snapshots[::-1]).moves == proposal.moves


@PROFILE
@given(snapshots=landscapes())
def test_every_gain_is_real(snapshots):
    proposal = rebalancing.propose(snapshots)

    assert proposal.before.pairs == _pairs(snapshots)
    gained = sum(move.pairs for move in proposal.moves)
    assert proposal.after.pairs == proposal.before.pairs - gained
    for move in proposal.moves:
        assert move.pairs > 0 or move.relief >= candidates.LEAST_GAIN
    assert len({move.replica for move in proposal.moves}) == len(proposal.moves)


@PROFILE
@given(snapshots=landscapes())
def test_nothing_goes_where_the_planner_would_not_place_it(snapshots):
    proposal = rebalancing.propose(snapshots)

    revisions = {item.deployment: item.revisions[0] for item in snapshots}
    nodes = {node.name: node for node in snapshots[0].nodes}
    for move in proposal.moves:
        node, revision = nodes[move.target], revisions[move.deployment]
        assert not objections(node, dict(node.labels), revision)
        asked = revision.resources.requested
        left = node.capacity - node.reserved - asked
        assert not node.capacity.cpu_millis or not asked.cpu_millis or left.cpu_millis >= 0
        nodes[move.target] = replace(node, reserved=node.reserved + asked)
        source = nodes[move.source]
        nodes[move.source] = replace(source, reserved=source.reserved - asked)


@PROFILE
@given(snapshots=landscapes())
def test_carrying_it_out_keeps_floor_and_ceiling_and_leaves_less_to_gain(snapshots):
    proposal = rebalancing.propose(snapshots)
    snapshots = _with_moves(snapshots, proposal.moves)

    for _ in range(PASSES):
        for place, snapshot in enumerate(snapshots):
            plan = make_plan(snapshot)
            _check_bounds(snapshot, plan)
            snapshots[place] = _a_moment_later(carried_out(snapshot, plan))
            snapshots = _on_common_nodes(snapshots, snapshots[place].nodes)
        if not any(item.asked for item in snapshots):
            break

    assert not any(item.asked for item in snapshots)
    assert all(make_plan(item).settled for item in snapshots)
    again = rebalancing.propose(snapshots)
    assert len(again.moves) < max(1, len(proposal.moves))
    assert again.before.pairs <= proposal.before.pairs


def _check_bounds(snapshot, plan):
    spec = snapshot.spec
    serving = take_census(snapshot).available
    stopped = {action.replica for action in plan.actions if isinstance(action, StopReplica)}
    starts = [action for action in plan.actions if isinstance(action, StartReplica)]
    recreates = spec.policy.strategy is Strategy.RECREATE
    floor = 0 if recreates else max(0, spec.replicas - spec.policy.max_unavailable)
    assert len(serving - stopped) >= min(floor, len(serving))
    live = sum(view.phase.is_live for view in snapshot.replicas)
    assert live + len(starts) - len(stopped) <= spec.replicas + spec.policy.max_surge
    assert len(starts) <= 1


def _a_moment_later(snapshot):
    """Everything that was started serves, and everything that was stopped is gone."""
    replicas = tuple(
        replace(view, phase=ReplicaPhase.RUNNING, ready=True, ready_at=view.ready_at or HOUR_AGO)
        for view in snapshot.replicas
        if view.phase.is_live and view.node is not None
    )
    return replace(snapshot, replicas=replicas)

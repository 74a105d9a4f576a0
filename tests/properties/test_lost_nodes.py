"""What must hold of every plan while nodes are lost: replacements are bounded, and paced."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.classify import REPLACED_AT_ONCE, REPLACED_PER_SECOND
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.plan import StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from tests.factories import NOW, a_node, a_replica, a_running_snapshot, a_spec, carried_out
from tests.strategies import policies

PROFILE = settings(max_examples=2 * settings().max_examples)
PASSES = 12


@st.composite
def losses(draw):
    """Draw a deployment at rest on four nodes, of which one to three were lost a while ago."""
    size = draw(st.integers(0, 60))
    lost = draw(st.sampled_from(("a", "ab", "abc")))
    seconds = draw(st.integers(0, 7))
    nodes = [
        a_node(name, state=NodeState.LOST, lost_at=NOW - timedelta(seconds=seconds))
        if name in lost
        else a_node(name)
        for name in "abcd"
    ]
    replicas = [
        a_replica(f"r{slot:02}", slot=slot, node=node, ready=node not in lost)
        for slot, node in enumerate(draw(st.text("abcd", min_size=size, max_size=size)))
    ]
    fenced = draw(st.sampled_from((False, False, False, True)))
    spec = a_spec(size, policy=draw(policies), fenced=fenced)
    fields = {"spec": spec, "nodes": tuple(nodes), "replicas": tuple(replicas)}
    return a_running_snapshot(size, **fields), seconds


@PROFILE
@given(loss=losses())
def test_no_more_are_replaced_than_were_lost_and_not_all_at_once(loss):
    snapshot, seconds = loss
    lost = {node.name for node in snapshot.nodes if node.state is NodeState.LOST}
    there = sum(view.node in lost for view in snapshot.replicas)

    plan = make_plan(snapshot)

    started = [action for action in plan.actions if isinstance(action, StartReplica)]
    pace = REPLACED_AT_ONCE + REPLACED_PER_SECOND * seconds
    assert len(started) == (0 if snapshot.spec.fenced else min(there, pace))
    assert not any(isinstance(action, StopReplica) for action in plan.actions)
    assert lost.isdisjoint(action.node for action in started)


@PROFILE
@given(loss=losses())
def test_in_the_end_everything_lost_is_replaced_once(loss):
    snapshot, _ = loss
    wanted = snapshot.spec.replicas
    lost = {node.name for node in snapshot.nodes if node.state is NodeState.LOST}
    started = 0

    for _ in range(PASSES):
        plan = make_plan(snapshot)
        started += sum(isinstance(action, StartReplica) for action in plan.actions)
        later = snapshot.now + timedelta(seconds=1)
        snapshot = replace(carried_out(snapshot, plan), now=later)

    there = sum(view.node in lost for view in snapshot.replicas)
    assert started == (0 if snapshot.spec.fenced else there)
    assert len(snapshot.replicas) == wanted + started

"""What must hold wherever replicas are placed, for any legal snapshot."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.core.constraints import TaintEffect
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement.placer import Placer
from orchestrator.core.plan import FailRollout
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import NOTHING
from tests.factories import carried_out
from tests.strategies import snapshots

PROFILE = settings(max_examples=4 * settings().max_examples)
CLOSED = (
    {"state": NodeState.SUSPECT},
    {"state": NodeState.LOST},
    {"cordoned": True},
    {"draining": True},
)


def handed_out(snapshot, number=5):
    """Return which revision was placed where, in turns over the revisions, and the placer."""
    placer = Placer(snapshot)
    turns = [snapshot.revisions[turn % len(snapshot.revisions)] for turn in range(number)]
    return [(revision, placer.place(revision)) for revision in turns], placer


def room(node):
    """Return what a node has left of what it states; what it does not state is endless."""
    left = node.capacity - node.reserved
    return (
        left.cpu_millis if node.capacity.cpu_millis else float("inf"),
        left.memory_bytes if node.capacity.memory_bytes else float("inf"),
    )


@PROFILE
@given(snapshot=snapshots(deleting=False))
def test_a_plan_never_overcommits_a_node(snapshot):
    plan = make_plan(snapshot)
    assume(not any(isinstance(action, FailRollout) for action in plan.actions))

    after = {node.name: node for node in carried_out(snapshot, plan).nodes}

    for before in snapshot.nodes:
        taken = after[before.name].reserved - before.reserved
        for left, more in zip(room(before), (taken.cpu_millis, taken.memory_bytes), strict=True):
            assert more <= max(0, left)


def all_open(snapshot):
    """Return the snapshot with every node ready to take replicas: as drawn, few are."""
    open_ = {"state": NodeState.READY, "cordoned": False, "draining": False, "taints": ()}
    return replace(snapshot, nodes=tuple(replace(node, **open_) for node in snapshot.nodes))


@PROFILE
@given(snapshot=snapshots(deleting=False).map(all_open))
def test_however_many_are_handed_out_no_node_gets_more_than_it_has(snapshot):
    taken = {node.name: NOTHING for node in snapshot.nodes}

    for revision, name in handed_out(snapshot, 40)[0]:
        if name is not None:
            taken[name] += revision.resources.requested

    for node in snapshot.nodes:
        more = taken[node.name]
        for left, asked in zip(room(node), (more.cpu_millis, more.memory_bytes), strict=True):
            assert asked <= max(0, left)


@st.composite
def one_closed(draw):
    """Draw a snapshot in which one node takes nothing, for one reason, and its name."""
    snapshot = all_open(draw(snapshots(deleting=False).filter(lambda drawn: drawn.nodes)))
    name = draw(st.sampled_from([node.name for node in snapshot.nodes]))
    fault = draw(st.sampled_from(CLOSED))
    nodes = tuple(replace(node, **fault) if node.name == name else node for node in snapshot.nodes)
    return replace(snapshot, nodes=nodes), name


@PROFILE
@given(drawn=one_closed())
def test_nothing_goes_to_a_node_that_is_closed_for_any_one_reason(drawn):
    snapshot, closed = drawn

    assert closed not in {name for _, name in handed_out(snapshot, 10)[0]}


@PROFILE
@given(snapshot=snapshots(deleting=False))
def test_only_open_nodes_that_answer_and_are_tolerated_get_replicas(snapshot):
    nodes = {node.name: node for node in snapshot.nodes}

    for revision, name in handed_out(snapshot)[0]:
        if name is None:
            continue
        node = nodes[name]
        assert node.state is NodeState.READY
        assert not node.cordoned
        assert not node.draining
        assert set(revision.node_selector) <= set(node.labels)
        assert not revision.runtime_class or revision.runtime_class in node.runtimes
        for taint in node.taints:
            hard = taint.effect is TaintEffect.NO_SCHEDULE
            assert not hard or revision.rules.tolerate(taint)


@PROFILE
@given(snapshot=snapshots(deleting=False))
def test_the_same_input_gives_the_same_places(snapshot):
    assert handed_out(snapshot)[0] == handed_out(snapshot)[0]


@PROFILE
@given(snapshot=snapshots(deleting=False))
def test_an_explanation_names_every_node_and_a_node_without_objection_is_found(snapshot):
    _, placer = handed_out(snapshot)

    for revision in snapshot.revisions:
        explanation = placer.explain(revision)
        assert [node.node for node in explanation.nodes] == sorted(n.name for n in snapshot.nodes)
        free = [node.node for node in explanation.nodes if not node.objections]
        found = placer.place(revision)
        assert (found in free) if free else (found is None)
        if free:
            break
        assert bool(explanation.fix) == bool(snapshot.nodes)
        assert explanation.message.startswith("no node fits")

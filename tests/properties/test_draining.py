"""What must hold while nodes are drained, whatever else is going on."""

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.core.classify import take_census
from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import CompleteRollout, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import Strategy
from tests.factories import (
    HOUR_AGO,
    a_node,
    a_replica,
    a_revision,
    a_rollout,
    a_snapshot,
    a_spec,
    carried_out,
)
from tests.strategies import policies

PROFILE = settings(max_examples=4 * settings().max_examples)
PASSES = 40


@st.composite
def drains(draw):
    """Draw a deployment on nodes a and b, a being drained, b perhaps, c open; perhaps rolling."""
    wanted = draw(st.integers(0, 5))
    old = draw(st.integers(0, 3))
    sizes = {1: old, 2: draw(st.integers(0, wanted))} if old else {1: wanted}
    replicas = tuple(
        a_replica(
            f"r{revision}-{slot}",
            revision,
            slot,
            node=draw(st.sampled_from("aabc")),
            ready=draw(st.sampled_from((True, True, True, False))),
        )
        for revision, size in sizes.items()
        for slot in range(size)
    )
    spec = a_spec(wanted, policy=draw(policies), paused=draw(st.sampled_from((False, False, True))))
    state = draw(st.sampled_from((RolloutState.COMPLETE, RolloutState.PROGRESSING)))
    return a_snapshot(
        spec=spec,
        revisions=tuple(a_revision(number, size) for number, size in sizes.items()),
        replicas=replicas,
        rollout=a_rollout(state if not old else RolloutState.PROGRESSING, wanted),
        nodes=(
            a_node("a", draining=True),
            a_node("b", draining=draw(st.booleans())),
            a_node("c"),
        ),
    )


def of_kind(plan, kind):
    return [action for action in plan.actions if isinstance(action, kind)]


@PROFILE
@given(snapshot=drains())
def test_a_plan_carried_out_leaves_nothing_to_do(snapshot):
    plan = make_plan(snapshot)
    # A rollout that ends with this pass held moves back until now.
    assume(not of_kind(plan, CompleteRollout))

    assert make_plan(carried_out(snapshot, plan)).actions == ()


@PROFILE
@given(snapshot=drains())
def test_no_more_are_live_than_wanted_and_surge(snapshot):
    spec = snapshot.spec
    before = sum(view.desired for view in snapshot.revisions)

    after = carried_out(snapshot, make_plan(snapshot))

    live = sum(view.phase.is_live for view in after.replicas)
    assert live <= max(before, spec.replicas + spec.policy.max_surge)


@PROFILE
@given(snapshot=drains())
def test_the_floor_holds(snapshot):
    spec, serving = snapshot.spec, take_census(snapshot).available
    recreates = spec.policy.strategy is Strategy.RECREATE

    stopped = {stop.replica for stop in of_kind(make_plan(snapshot), StopReplica)}

    floor = 0 if recreates else max(0, spec.replicas - spec.policy.max_unavailable)
    assert len(serving - stopped) >= min(floor, len(serving))


@PROFILE
@given(snapshot=drains())
def test_nothing_starts_on_a_node_that_is_drained(snapshot):
    drained = {node.name for node in snapshot.nodes if node.draining}

    assert not drained & {start.node for start in of_kind(make_plan(snapshot), StartReplica)}


@PROFILE
@given(snapshot=drains())
def test_no_start_takes_the_slot_of_a_replica_that_stops_in_the_same_pass(snapshot):
    taken = {(view.revision, view.slot) for view in snapshot.replicas}

    starts = of_kind(make_plan(snapshot), StartReplica)

    assert not taken & {(start.revision, start.slot) for start in starts}


@PROFILE
@given(snapshot=drains())
def test_every_drain_comes_to_its_end(snapshot):
    snapshot = replace(snapshot, spec=replace(snapshot.spec, paused=False))
    for _ in range(PASSES):
        snapshot = _a_moment_later(carried_out(snapshot, make_plan(snapshot)))

    plan = make_plan(snapshot)
    assert (plan.actions, plan.settled) == ((), True)
    drained = {node.name for node in snapshot.nodes if node.draining}
    assert not drained & {view.node for view in snapshot.replicas}


def _a_moment_later(snapshot):
    """Everything that was started serves, and everything that was stopped is gone."""
    replicas = tuple(
        replace(view, phase=ReplicaPhase.RUNNING, ready=True, ready_at=view.ready_at or HOUR_AGO)
        for view in snapshot.replicas
        if view.phase.is_live and view.node is not None
    )
    return replace(snapshot, replicas=replicas)

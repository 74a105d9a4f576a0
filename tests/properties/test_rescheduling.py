"""What must hold while replicas keep failing, on one node or on all of them."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.core import rescheduling
from orchestrator.core.classify import take_census
from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import CompleteRollout, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import Strategy
from tests.factories import (
    HOUR_AGO,
    NOW,
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
OFTEN = (NOW,) * 5
PASSES = 60


@st.composite
def troubles(draw):
    """Draw a deployment on three nodes, some replicas of which keep failing; perhaps rolling."""
    wanted = draw(st.integers(0, 5))
    old = draw(st.integers(0, 3))
    sizes = {1: old, 2: draw(st.integers(0, wanted))} if old else {1: wanted}
    replicas = tuple(
        a_replica(
            f"r{revision}-{slot}",
            revision,
            slot,
            node=draw(st.sampled_from("aabc")),
            ready=draw(st.booleans()),
            failures=draw(st.sampled_from(((), (), OFTEN[:2], OFTEN))),
            moves=draw(st.sampled_from((0, 0, 1, 9))),
        )
        for revision, size in sizes.items()
        for slot in range(size)
    )
    state = draw(st.sampled_from((RolloutState.COMPLETE, RolloutState.PROGRESSING)))
    return a_snapshot(
        spec=a_spec(wanted, policy=draw(policies), paused=draw(st.sampled_from((False, True)))),
        revisions=tuple(
            a_revision(number, size, completed=draw(st.booleans()))
            for number, size in sizes.items()
        ),
        replicas=replicas,
        rollout=a_rollout(state if not old else RolloutState.PROGRESSING, wanted),
        nodes=(
            a_node("a", draining=draw(st.sampled_from((False, False, True)))),
            a_node("b", cordoned=draw(st.booleans())),
            a_node("c"),
        ),
    )


def of_kind(plan, kind):
    return [action for action in plan.actions if isinstance(action, kind)]


@PROFILE
@given(snapshot=troubles())
def test_a_plan_carried_out_leaves_nothing_to_do(snapshot):
    plan = make_plan(snapshot)
    # A rollout that ends with this pass held moves back until now.
    assume(not of_kind(plan, CompleteRollout))

    assert make_plan(snapshot) == plan
    assert make_plan(carried_out(snapshot, plan)).actions == ()


@PROFILE
@given(snapshot=troubles())
def test_no_more_are_live_than_wanted_and_surge(snapshot):
    spec = snapshot.spec
    before = sum(view.desired for view in snapshot.revisions)

    after = carried_out(snapshot, make_plan(snapshot))

    live = sum(view.phase.is_live for view in after.replicas)
    assert live <= max(before, spec.replicas + spec.policy.max_surge)


@PROFILE
@given(snapshot=troubles())
def test_the_floor_holds(snapshot):
    spec, serving = snapshot.spec, take_census(snapshot).available
    recreates = spec.policy.strategy is Strategy.RECREATE

    stopped = {stop.replica for stop in of_kind(make_plan(snapshot), StopReplica)}

    floor = 0 if recreates else max(0, spec.replicas - spec.policy.max_unavailable)
    assert len(serving - stopped) >= min(floor, len(serving))


@PROFILE
@given(snapshot=troubles())
def test_a_successor_starts_where_none_of_its_revision_keeps_failing(snapshot):
    bad = {
        (view.revision, view.node)
        for view in snapshot.replicas
        if rescheduling.is_failing(view, snapshot)
    }

    starts = [start for start in of_kind(make_plan(snapshot), StartReplica) if start.replaces]

    assert not bad & {(start.revision, start.node) for start in starts}
    assert len({start.replaces for start in starts}) == len(starts)


@PROFILE
@given(snapshot=troubles(), broken=st.sets(st.sampled_from("abc")))
def test_it_comes_to_rest_whichever_nodes_are_broken(snapshot, broken):
    """Within one stretch between moves; whatever is on a broken node fails there."""
    snapshot = replace(snapshot, spec=replace(snapshot.spec, paused=False))
    before, starts = sum(view.desired for view in snapshot.revisions), 0
    for _ in range(PASSES):
        plan = make_plan(snapshot)
        starts = len(of_kind(plan, StartReplica))
        snapshot = _a_moment_later(carried_out(snapshot, plan), broken)

    last = make_plan(snapshot)
    assert (starts, of_kind(last, StartReplica), of_kind(last, StopReplica)) == (0, [], [])
    live = sum(view.phase.is_live for view in snapshot.replicas)
    assert live <= max(before, snapshot.spec.replicas + snapshot.spec.policy.max_surge)


@given(moves=st.integers(0, 200))
def test_the_time_between_moves_only_grows_up_to_its_bound(moves):
    policy = a_snapshot().rescheduling

    stays = (policy.stay(moves), policy.stay(moves + 1))

    assert stays[0] <= stays[1] <= policy.longest
    assert stays[1] >= timedelta(minutes=10)


def _a_moment_later(snapshot, broken):
    """What is on a broken node has failed there often; the rest serves; the stopped are gone."""
    return replace(
        snapshot,
        replicas=tuple(
            replace(view, phase=ReplicaPhase.RUNNING, ready=False, ready_at=None, failures=OFTEN)
            if view.node in broken
            else replace(
                view, phase=ReplicaPhase.RUNNING, ready=True, ready_at=HOUR_AGO, failures=()
            )
            for view in snapshot.replicas
            if view.phase.is_live and view.node is not None
        ),
    )

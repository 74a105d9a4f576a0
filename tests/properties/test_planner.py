"""What must hold for the plan of any legal snapshot."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from orchestrator.core import progress
from orchestrator.core.classify import take_census
from orchestrator.core.lifecycle import NodeState, ReplicaPhase
from orchestrator.core.plan import (
    CompleteRollout,
    FailRollout,
    FinishDeletion,
    StartReplica,
    StopReplica,
    WithdrawReplica,
)
from orchestrator.core.planner import make_plan
from tests.factories import NOW, carried_out
from tests.strategies import rolling_policies, snapshots, specs

PROFILE = settings(max_examples=2 * settings().max_examples)


rolling_specs = st.builds(replace, specs, policy=rolling_policies)


def of_kind(plan, kind):
    return [action for action in plan.actions if isinstance(action, kind)]


@PROFILE
@given(snapshot=snapshots())
def test_an_equal_snapshot_gives_an_equal_plan(snapshot):
    assert make_plan(snapshot) == make_plan(replace(snapshot))


@PROFILE
@given(snapshot=snapshots(), data=st.data())
def test_the_order_of_the_input_does_not_matter(snapshot, data):
    shuffled = replace(
        snapshot,
        revisions=tuple(data.draw(st.permutations(snapshot.revisions))),
        replicas=tuple(data.draw(st.permutations(snapshot.replicas))),
        nodes=tuple(data.draw(st.permutations(snapshot.nodes))),
    )

    assert make_plan(shuffled) == make_plan(snapshot)


@PROFILE
@given(snapshot=snapshots())
def test_a_plan_carried_out_leaves_nothing_to_do(snapshot):
    plan = make_plan(snapshot)
    assume(not any(action.rollback_to for action in of_kind(plan, FailRollout)))
    assume(not of_kind(plan, FinishDeletion))
    census = take_census(snapshot)
    completes = of_kind(plan, CompleteRollout) and not progress.is_complete(snapshot, census)
    if completes and census.leaving:
        # While a rollout is under way nobody is moved off a node; its own stops end it here.
        assert plan.wake_at is not None
        assert plan.wake_at - NOW <= timedelta(seconds=1)
        snapshot = carried_out(snapshot, plan)
        plan = make_plan(snapshot)

    again = make_plan(carried_out(snapshot, plan))

    assert again.actions == ()


@PROFILE
@given(snapshot=snapshots())
def test_nothing_is_placed_on_a_node_that_does_not_answer_or_is_closed(snapshot):
    closed = {
        node.name
        for node in snapshot.nodes
        if node.cordoned or node.draining or node.state is not NodeState.READY
    }
    known = {node.name for node in snapshot.nodes}

    chosen = {getattr(action, "node", None) for action in make_plan(snapshot).actions} - {None}

    assert chosen <= known - closed


@PROFILE
@given(snapshot=snapshots(specs.map(lambda spec: replace(spec, replicas=0)), scaled=False))
def test_zero_replicas_mean_no_growth(snapshot):
    after = carried_out(snapshot, make_plan(snapshot))

    before = sum(view.desired for view in snapshot.revisions)
    assert sum(view.desired for view in after.revisions) <= before


@PROFILE
@given(snapshot=snapshots(deleting=True))
def test_a_deletion_starts_nothing_and_leaves_nothing_live(snapshot):
    plan = make_plan(snapshot)

    assert not of_kind(plan, StartReplica)
    live = {view.uid for view in snapshot.replicas if view.phase.is_live}
    leaving = {one.replica for one in of_kind(plan, StopReplica | WithdrawReplica)}
    withdrawn = {v.uid for v in snapshot.replicas if v.phase is ReplicaPhase.WITHDRAWN}
    assert leaving - withdrawn == live


@PROFILE
@given(snapshot=snapshots(deleting=False, scaled=False))
def test_starts_stay_below_the_ceiling(snapshot):
    plan = make_plan(snapshot)
    desired = sum(view.desired for view in snapshot.revisions)
    ceiling = snapshot.spec.replicas + snapshot.spec.policy.max_surge

    live = take_census(carried_out(snapshot, plan)).total

    assert live <= max(desired, ceiling)


@PROFILE
@given(snapshot=snapshots(rolling_specs, deleting=False, scaled=False))
def test_no_stop_of_ours_breaks_the_floor(snapshot):
    spec = snapshot.spec
    snapshot = replace(
        snapshot,
        # What is over its own number, or on a node whose time to be drained is over, may stop.
        revisions=tuple(
            replace(view, desired=min(view.desired, spec.replicas))
            if view.number == snapshot.current
            else view
            for view in snapshot.revisions
        ),
        nodes=tuple(
            replace(node, drain_until=None)
            if node.drain_until and node.drain_until <= NOW
            else node
            for node in snapshot.nodes
        ),
    )
    census = take_census(snapshot)

    plan = make_plan(snapshot)

    stopped = {one.replica for one in of_kind(plan, StopReplica | WithdrawReplica)}
    floor = max(0, spec.replicas - spec.policy.max_unavailable)
    left = len(census.available - stopped)
    assert left >= min(floor, len(census.available))


@PROFILE
@given(snapshot=snapshots(deleting=False))
def test_every_revision_gets_the_replicas_it_should_have(snapshot):
    # A drain adds replacements for a while: see test_draining.py.
    assume(not take_census(snapshot).leaving)
    plan = make_plan(snapshot)
    assume(not any(action.rollback_to for action in of_kind(plan, FailRollout)))

    after = carried_out(snapshot, plan)

    live = Counter(view.revision for view in take_census(after).everyone_live)
    assert {view.number: view.desired for view in after.revisions if view.desired} == dict(live)
    slots = [(view.revision, view.slot) for view in after.replicas if view.phase.is_live]
    assert len(slots) == len(set(slots))


@PROFILE
@given(snapshot=snapshots())
def test_every_action_that_has_a_reason_explains_itself(snapshot):
    for action in make_plan(snapshot).actions:
        if hasattr(action, "reason"):
            assert action.message
            assert action.message[0].islower()


@PROFILE
@given(snapshot=snapshots())
def test_the_next_look_lies_ahead(snapshot):
    plan = make_plan(snapshot)

    assert plan.wake_at is None or plan.wake_at > snapshot.now
    assert not (plan.settled and (plan.actions or plan.wake_at))

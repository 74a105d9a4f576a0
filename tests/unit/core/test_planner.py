"""What one pass does with the replicas of a deployment."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import (
    AssignReplica,
    FinishDeletion,
    PruneRevision,
    Reason,
    ScaleRevision,
    StartReplica,
    StopReplica,
    UpdateReplica,
)
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import NO_RESOURCES, OnFailure, Resources
from tests.factories import (
    NOW,
    a_node,
    a_policy,
    a_replica,
    a_revision,
    a_rollout,
    a_running_snapshot,
    a_snapshot,
    a_spec,
    carried_out,
    some_replicas,
)

MORE_CPU = Resources(cpu_limit_millis=500)


def of_kind(plan, kind):
    return [action for action in plan.actions if isinstance(action, kind)]


def starts(plan):
    return [(start.revision, start.slot, start.node) for start in of_kind(plan, StartReplica)]


def stops(plan):
    return [stop.replica for stop in of_kind(plan, StopReplica)]


def test_a_new_deployment_starts_all_its_replicas_at_once():
    plan = make_plan(a_snapshot())

    assert starts(plan) == [(1, 0, "a"), (1, 1, "a"), (1, 2, "a")]
    assert {start.reason for start in of_kind(plan, StartReplica)} == {Reason.SCALE_UP}


def test_a_lost_replica_is_replaced_in_its_slot():
    first, _, third = some_replicas(3)

    plan = make_plan(_with_replicas(first, third))

    (start,) = plan.actions
    assert (start.slot, start.reason) == (1, Reason.REPLACE_MISSING)
    assert start.message == "revision 1 should have 3 replicas and has 2, so one starts on a"


def _with_replicas(*replicas):
    return replace(a_running_snapshot(3), replicas=replicas)


def test_a_stopping_replica_holds_no_slot_but_takes_room_on_its_node():
    stopping = a_replica("old", slot=2, phase=ReplicaPhase.STOPPING)
    snapshot = replace(
        _with_replicas(*some_replicas(2), stopping), nodes=(a_node("a", replicas=3), a_node("b"))
    )

    plan = make_plan(snapshot)

    assert starts(plan) == [(1, 2, "b")]


def test_scaling_up_during_a_gap_tells_the_gap_from_the_growth():
    snapshot = replace(_with_replicas(*some_replicas(2)), spec=a_spec(4))

    plan = make_plan(snapshot)

    reasons = [start.reason for start in of_kind(plan, StartReplica)]
    assert reasons == [Reason.REPLACE_MISSING, Reason.SCALE_UP]


def test_a_pass_goes_as_far_as_the_bounds_allow():
    snapshot = a_running_snapshot(
        10,
        spec=a_spec(10, policy=a_policy(3, 2)),
        revisions=(a_revision(1, 10, completed=True), a_revision(2)),
        rollout=a_rollout(scaled_for=10),
    )

    plan = make_plan(snapshot)

    scaled = [(step.revision, step.desired) for step in of_kind(plan, ScaleRevision)]
    assert scaled == [(1, 8), (2, 5)]
    assert len(stops(plan)) == 2
    assert len(starts(plan)) == 5


def test_an_idle_replica_is_retired_as_unhealthy():
    snapshot = a_snapshot(
        spec=a_spec(2, policy=a_policy(1, 1)),
        revisions=(a_revision(1, 2), a_revision(2, 1)),
        replicas=(*some_replicas(2, available=1), *some_replicas(1, revision=2)),
        rollout=a_rollout(scaled_for=2),
    )

    plan = make_plan(snapshot)

    reasons = {stop.replica: stop.reason for stop in of_kind(plan, StopReplica)}
    assert reasons == {"r1-1": Reason.REMOVE_UNHEALTHY, "r1-0": Reason.ROLLOUT_RETIRE}


@pytest.mark.parametrize(
    ("victim", "why"),
    [
        pytest.param(
            {"node": None, "phase": ReplicaPhase.PENDING}, "has no node yet", id="unplaced"
        ),
        pytest.param({"phase": ReplicaPhase.PULLING}, "is still pulling", id="early"),
        pytest.param({"ready": False}, "is not available", id="idle"),
        pytest.param({}, "is missed least of those that are available", id="serving"),
    ],
)
def test_a_stop_says_why_it_is_this_one(victim, why):
    snapshot = a_snapshot(
        spec=a_spec(0), revisions=(a_revision(1, 1),), replicas=(a_replica("r", **victim),)
    )

    (stop,) = of_kind(make_plan(snapshot), StopReplica)

    assert stop.message == f"revision 1 has 1 replica and should have 0; this one {why}"


def test_recreate_waits_for_the_last_old_replica_to_be_gone():
    spec = a_spec(1, policy=a_policy(recreate=True))
    stopping = a_replica("old", phase=ReplicaPhase.STOPPING)
    waiting = a_snapshot(spec=spec, revisions=(a_revision(1), a_revision(2)), replicas=(stopping,))

    assert make_plan(waiting).actions == ()
    assert starts(make_plan(replace(waiting, replicas=()))) == [(2, 0, "a")]


def test_recreate_does_not_wait_for_a_replica_that_never_had_a_node():
    unplaced = a_replica("old", node=None, phase=ReplicaPhase.PENDING)
    snapshot = a_snapshot(
        spec=a_spec(1, policy=a_policy(recreate=True)),
        revisions=(a_revision(1, 1), a_revision(2)),
        replicas=(unplaced,),
    )

    plan = make_plan(snapshot)

    assert stops(plan) == ["old"]
    assert starts(plan) == [(2, 0, "a")]


def test_a_replica_without_a_node_is_placed_when_one_fits():
    snapshot = _with_replicas(
        *some_replicas(2), a_replica("w", slot=2, node=None, phase=ReplicaPhase.PENDING)
    )

    (action,) = make_plan(snapshot).actions

    assert (action.replica, action.node, action.reason) == ("w", "a", Reason.PLACED)


def test_what_a_replica_waits_for_is_renewed_only_when_it_changes():
    waiting = a_replica("w", slot=2, node=None, phase=ReplicaPhase.PENDING, waiting="before")
    snapshot = replace(
        _with_replicas(*some_replicas(2), waiting), nodes=(a_node("a", cordoned=True),)
    )

    why = "no node fits: a is cordoned; it would fit on a if it was uncordoned"

    (action,) = make_plan(snapshot).actions
    renewed = replace(
        snapshot, replicas=(*some_replicas(2), replace(waiting, waiting=action.waiting))
    )

    assert action == AssignReplica(
        replica="w",
        node=None,
        resources=NO_RESOURCES,
        reason=Reason.UNPLACEABLE,
        message=f"the replica waits: {why}",
        waiting=why,
    )
    assert make_plan(renewed).actions == ()


def test_a_start_without_a_node_says_what_it_waits_for():
    (first, *_) = of_kind(make_plan(a_snapshot(nodes=())), StartReplica)

    assert (first.node, first.reason) == (None, Reason.UNPLACEABLE)
    assert first.waiting == "no node fits: none has joined yet"


@pytest.mark.parametrize(
    ("replica", "spec", "expected"),
    [
        pytest.param({}, {}, True, id="running-ones-change-in-place"),
        pytest.param({"phase": ReplicaPhase.STARTING}, {}, True, id="starting-ones-too"),
        pytest.param({"phase": ReplicaPhase.PULLING}, {}, False, id="earlier-ones-not-yet"),
        pytest.param({"update_failed": True}, {}, False, id="not-when-the-node-could-not"),
        pytest.param({"resources": MORE_CPU}, {}, False, id="not-when-they-have-them"),
        pytest.param({}, {"paused": True}, False, id="not-while-paused"),
    ],
)
def test_changed_limits_are_set_in_place(replica, spec, expected):
    snapshot = a_running_snapshot(
        1,
        spec=a_spec(1, **spec),
        revisions=(a_revision(1, 1, resources=MORE_CPU, completed=True),),
        replicas=(a_replica("r", **replica),),
    )

    updates = of_kind(make_plan(snapshot), UpdateReplica)

    assert [(update.replica, update.resources) for update in updates] == (
        [("r", MORE_CPU)] if expected else []
    )


def test_a_deletion_stops_everything_and_then_finishes():
    snapshot = replace(a_running_snapshot(2), deleting=True)

    stopping = make_plan(snapshot)
    still = make_plan(carried_out(snapshot, stopping))
    gone = make_plan(replace(snapshot, replicas=()))

    assert stops(stopping) == ["r1-0", "r1-1"]
    assert still.actions == ()
    assert not still.settled
    assert gone.actions == (FinishDeletion(),)


def test_a_deletion_with_only_unplaced_replicas_finishes_at_once():
    unplaced = a_replica("w", node=None, phase=ReplicaPhase.PENDING)

    plan = make_plan(a_snapshot(deleting=True, replicas=(unplaced,)))

    assert stops(plan) == ["w"]
    assert plan.actions[-1] == FinishDeletion()


@pytest.mark.parametrize(
    ("limit", "state", "pruned"),
    [
        pytest.param(2, RolloutState.COMPLETE, [1], id="the-oldest-beyond-the-limit-goes"),
        pytest.param(0, RolloutState.COMPLETE, [1, 3], id="the-latest-completed-one-stays"),
        pytest.param(9, RolloutState.COMPLETE, [], id="nothing-goes-within-the-limit"),
        pytest.param(0, RolloutState.PROGRESSING, [], id="nothing-goes-during-a-rollout"),
    ],
)
def test_old_revisions_are_pruned(limit, state, pruned):
    history = (a_revision(1, completed=True), a_revision(2, completed=True), a_revision(3))
    current = a_revision(4, 1, completed=True)
    serving = state is RolloutState.COMPLETE
    snapshot = a_running_snapshot(
        1,
        spec=a_spec(1, revision_history_limit=limit),
        revisions=(*history, current),
        replicas=(a_replica("r", 4, ready=serving),),
        rollout=a_rollout(state, 1),
    )

    plan = make_plan(snapshot)

    assert [action.revision for action in of_kind(plan, PruneRevision)] == pruned


def test_a_revision_with_a_stopping_replica_is_not_pruned():
    snapshot = a_running_snapshot(
        1,
        spec=a_spec(1, revision_history_limit=0),
        revisions=(a_revision(1), a_revision(2, 1, completed=True)),
        replicas=(
            a_replica("leaving", 1, phase=ReplicaPhase.STOPPING),
            a_replica("r", 2),
        ),
    )

    assert make_plan(snapshot).actions == ()


def test_a_complete_deployment_is_settled():
    plan = make_plan(a_running_snapshot(3))

    assert (plan.actions, plan.settled, plan.wake_at) == ((), True, None)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param((a_replica("s", phase=ReplicaPhase.STOPPING),), id="something-is-stopping"),
        pytest.param((), id="something-is-not-available"),
    ],
)
def test_a_deployment_is_not_settled_while(extra):
    replicas = some_replicas(2, available=2 if extra else 1)

    plan = make_plan(a_running_snapshot(2, replicas=(*replicas, *extra)))

    assert plan.actions == ()
    assert not plan.settled


def test_a_replica_that_ripens_sets_the_time_of_the_next_look():
    ready_at = NOW - timedelta(seconds=4)
    snapshot = a_running_snapshot(
        1,
        spec=a_spec(1, min_ready_seconds=10),
        replicas=(a_replica("r", ready_at=ready_at),),
    )

    plan = make_plan(snapshot)

    assert plan.verdict.available == 0
    assert plan.wake_at == ready_at + timedelta(seconds=10)


def test_a_held_rollout_with_everything_serving_is_settled():
    snapshot = a_snapshot(
        spec=a_spec(2, on_failure=OnFailure.PAUSE),
        revisions=(a_revision(1, 2, completed=True), a_revision(2)),
        replicas=some_replicas(2),
        rollout=a_rollout(RolloutState.DEADLINE_EXCEEDED, 2),
    )

    plan = make_plan(snapshot)

    assert (plan.actions, plan.settled, plan.wake_at) == ((), True, None)

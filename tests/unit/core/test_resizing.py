"""Limits changed in place where there is room; elsewhere the replica says what it waits for."""

from dataclasses import replace

import pytest

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.plan import AssignReplica, Reason, UpdateReplica
from orchestrator.core.planner import make_plan
from tests.factories import (
    a_node,
    a_replica,
    a_revision,
    a_running_snapshot,
    a_spec,
    amounts,
    carried_out,
    requests,
)

WAITS = "its new limits wait: node a has no room for 700m cpu and 0Ki of memory"


def grown(free, **fields):
    """Return a replica of 500m whose revision asks for 700m, on a node with so much left."""
    replica = a_replica("r", resources=requests(cpu=500), reserved=amounts(500), **fields)
    return a_running_snapshot(
        1,
        revisions=(a_revision(1, 1, resources=requests(cpu=700), completed=True),),
        replicas=(replica,),
        nodes=(a_node("a", capacity=amounts(1000), reserved=amounts(1000 - free)),),
    )


def test_it_grows_where_there_is_room_for_the_difference():
    (action,) = make_plan(grown(200)).actions

    assert isinstance(action, UpdateReplica)
    assert action.resources == requests(cpu=700)


def test_without_room_it_says_so_once_and_the_deployment_is_not_at_rest():
    snapshot = grown(199)

    plan = make_plan(snapshot)
    again = make_plan(carried_out(snapshot, plan))

    (action,) = plan.actions
    assert action == AssignReplica(
        replica="r",
        node=None,
        resources=requests(cpu=700),
        reason=Reason.RESIZE_WAITS,
        message=WAITS,
        waiting=WAITS,
    )
    assert again.actions == ()
    assert not again.settled


def test_it_grows_as_soon_as_there_is_room():
    (action,) = make_plan(grown(200, waiting=WAITS)).actions

    assert isinstance(action, UpdateReplica)


def test_what_it_waited_for_is_forgotten_when_the_wish_is_taken_back():
    snapshot = grown(0, waiting=WAITS)
    back = replace(snapshot.revisions[0], resources=requests(cpu=500))

    (action,) = make_plan(replace(snapshot, revisions=(back,))).actions

    assert (action.replica, action.node, action.waiting) == ("r", None, "")


def test_less_is_always_possible():
    snapshot = grown(0)
    less = replace(snapshot.revisions[0], resources=requests(cpu=100))

    (action,) = make_plan(replace(snapshot, revisions=(less,))).actions

    assert isinstance(action, UpdateReplica)


@pytest.mark.parametrize(
    "snapshot",
    [
        pytest.param(grown(200, phase=ReplicaPhase.ASSIGNED), id="not-started-yet"),
        pytest.param(grown(200, update_failed=True), id="its-node-could-not"),
        pytest.param(replace(grown(200), spec=a_spec(1, paused=True)), id="paused"),
    ],
)
def test_it_is_left_alone(snapshot):
    actions = make_plan(snapshot).actions

    assert not [action for action in actions if isinstance(action, UpdateReplica | AssignReplica)]

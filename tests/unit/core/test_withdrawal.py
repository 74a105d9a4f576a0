"""A replica stops only when nobody is sent there any more, or its time is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.plan import DeploymentPhase, Reason, StopReplica, WithdrawReplica
from orchestrator.core.planner import make_plan
from tests.factories import (
    NOW,
    a_gateway,
    a_replica,
    a_running_snapshot,
    a_spec,
    carried_out,
    some_replicas,
)


def scaled_down(*gateways, replicas=None, **spec):
    """Return a deployment of two replicas of which one is wanted."""
    views = replicas or tuple(
        replace(view, routed=True, routes_generation=3) for view in some_replicas(2)
    )
    return a_running_snapshot(2, replicas=views, gateways=gateways, spec=a_spec(1, **spec))


def withdrawn(*gateways, routes_generation=4, since=0, **fields):
    """Return a deployment of one replica, and one that was withdrawn `since` seconds ago."""
    leaving = a_replica(
        "gone",
        slot=1,
        phase=ReplicaPhase.WITHDRAWN,
        routes_generation=routes_generation,
        withdrawn_at=NOW - timedelta(seconds=since),
        withdrawn_for="ScaleDown",
        **fields,
    )
    return a_running_snapshot(1, replicas=(*some_replicas(1), leaving), gateways=gateways)


def of_kind(plan, kind):
    return [action for action in plan.actions if isinstance(action, kind)]


def test_a_replica_in_rotation_is_withdrawn_before_it_stops():
    plan = make_plan(scaled_down(a_gateway(generation=3)))

    (withdrawal,) = of_kind(plan, WithdrawReplica)
    assert (withdrawal.reason, of_kind(plan, StopReplica)) == (Reason.SCALE_DOWN, [])
    assert plan.wake_at is not None


def test_a_replica_no_gateway_ever_knew_of_stops_at_once():
    plan = make_plan(scaled_down(a_gateway(generation=3), replicas=some_replicas(2)))

    assert len(of_kind(plan, StopReplica)) == 1
    assert not of_kind(plan, WithdrawReplica)


def test_without_a_gateway_to_wait_for_it_stops_at_once():
    plan = make_plan(scaled_down())

    assert len(of_kind(plan, StopReplica)) == 1


def test_one_that_left_rotation_by_itself_waits_for_gateways_that_may_not_know():
    views = tuple(replace(view, routes_generation=5) for view in some_replicas(2))

    behind = make_plan(scaled_down(a_gateway(generation=4), replicas=views))
    up_to_date = make_plan(scaled_down(a_gateway(generation=5), replicas=views))

    assert (len(of_kind(behind, WithdrawReplica)), of_kind(behind, StopReplica)) == (1, [])
    assert (of_kind(up_to_date, WithdrawReplica), len(of_kind(up_to_date, StopReplica))) == ([], 1)


@pytest.mark.parametrize(
    ("gateways", "stops"),
    [
        pytest.param((a_gateway(generation=3),), False, id="not-confirmed"),
        pytest.param((a_gateway(generation=4),), True, id="confirmed"),
        pytest.param((a_gateway("a", 4), a_gateway("b", 3)), False, id="one-of-two"),
        pytest.param((a_gateway("a", 4), a_gateway("b", 9)), True, id="both"),
        pytest.param((a_gateway(generation=9, busy=["gone"]),), False, id="busy"),
        pytest.param((a_gateway(generation=9, busy=["other"]),), True, id="busy-with-another"),
        pytest.param((), True, id="no-gateway-left"),
    ],
)
def test_a_withdrawn_replica_stops_when_nothing_holds_it(gateways, stops):
    plan = make_plan(withdrawn(*gateways))

    found = of_kind(plan, StopReplica)
    assert [stop.replica for stop in found] == (["gone"] if stops else [])
    assert all(stop.reason is Reason.SCALE_DOWN and not stop.is_cut for stop in found)


def test_a_replica_still_in_the_table_is_not_stopped():
    snapshot = withdrawn(a_gateway(generation=9), routed=True)

    assert not of_kind(make_plan(snapshot), StopReplica)


def test_it_stops_when_its_time_is_over_and_says_who_held_it():
    gateways = (a_gateway("n1", 3), a_gateway("n2", 4, ["gone"]))

    (stop,) = make_plan(withdrawn(*gateways, since=30)).actions

    assert (stop.replica, stop.is_cut) == ("gone", True)
    assert stop.message == (
        "the replica was withdrawn; its 30 s to finish are over: the gateway on n1 has not "
        "confirmed that new connections go elsewhere and the gateway on n2 is still busy with it"
    )


def test_the_next_look_is_when_its_time_is_over():
    plan = make_plan(withdrawn(a_gateway(generation=3), since=10))

    assert (plan.actions, plan.settled) == ((), False)
    assert plan.wake_at == NOW + timedelta(seconds=20)


def test_a_withdrawn_replica_does_not_count():
    plan = make_plan(withdrawn(a_gateway(generation=3)))

    assert (plan.verdict.replicas, plan.verdict.available) == (1, 1)
    assert plan.verdict.phase is DeploymentPhase.AVAILABLE


def test_a_deletion_withdraws_first_and_wakes_when_the_time_is_over():
    snapshot = replace(scaled_down(a_gateway(generation=3)), deleting=True)

    plan = make_plan(snapshot)
    later = make_plan(carried_out(snapshot, plan))

    assert len(of_kind(plan, WithdrawReplica)) == 2
    assert (later.actions, later.wake_at) == ((), NOW + timedelta(seconds=30))

"""Replicas on lost nodes: replaced at a pace, never counted twice, never while fenced."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import NodeState, ReplicaPhase
from orchestrator.core.plan import DeploymentPhase, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from tests.factories import (
    HOUR_AGO,
    NOW,
    a_node,
    a_replica,
    a_running_snapshot,
    a_spec,
    carried_out,
)

LOST = a_node("a", state=NodeState.LOST, lost_at=NOW)
ONE_LEFT = (LOST, a_node("b"))


def starts(plan):
    return [action for action in plan.actions if isinstance(action, StartReplica)]


def one_lost(size=2, nodes=ONE_LEFT, **fields):
    """Return a deployment with one replica on the lost node, and the others on b."""
    replicas = (
        a_replica("r0", ready=False),
        *(a_replica(f"r{slot}", slot=slot, node="b") for slot in range(1, size)),
    )
    return a_running_snapshot(size, replicas=replicas, nodes=nodes, **fields)


def test_a_replica_on_a_lost_node_is_replaced_elsewhere():
    plan = make_plan(one_lost())

    (start,) = plan.actions
    assert (start.node, start.slot) == ("b", 2)
    assert plan.verdict.replicas == 1


def test_a_suspect_node_costs_nothing_yet():
    nodes = (a_node("a", state=NodeState.SUSPECT), a_node("b"))

    assert starts(make_plan(one_lost(nodes=nodes))) == []


def test_once_replaced_all_is_well_while_the_node_stays_away():
    snapshot = one_lost()
    after = carried_out(snapshot, make_plan(snapshot))
    served = replace(
        after,
        replicas=tuple(
            replace(view, phase=ReplicaPhase.RUNNING, ready=True, ready_at=HOUR_AGO)
            if view.node == "b"
            else view
            for view in after.replicas
        ),
    )

    plan = make_plan(served)

    assert (plan.actions, plan.settled) == ((), True)
    assert plan.verdict.phase is DeploymentPhase.AVAILABLE


@pytest.mark.parametrize(
    ("replacement_ready", "expected"), [(True, "r0"), (False, "late")], ids=["stale", "unready"]
)
def test_when_the_node_returns_one_of_the_two_stops(replacement_ready, expected):
    ready_at = NOW - timedelta(minutes=5) if replacement_ready else None
    back = a_running_snapshot(
        1,
        replicas=(
            a_replica("r0", ready_at=NOW),
            a_replica("late", slot=1, node="b", ready=replacement_ready, ready_at=ready_at),
        ),
        nodes=(a_node("a"), a_node("b")),
    )

    stops = [action for action in make_plan(back).actions if isinstance(action, StopReplica)]

    assert [stop.replica for stop in stops] == [expected]


def test_a_fenced_replica_waits_for_its_node():
    plan = make_plan(one_lost(spec=a_spec(2, fenced=True)))

    assert starts(plan) == []
    assert not plan.settled


def test_many_are_replaced_at_a_pace():
    lost = tuple(a_replica(f"r{slot:02}", slot=slot, ready=False) for slot in range(25))
    snapshot = a_running_snapshot(25, replicas=lost, nodes=(LOST, a_node("b")))

    plan = make_plan(snapshot)
    later = make_plan(replace(snapshot, now=NOW + timedelta(seconds=1)))

    assert (len(starts(plan)), len(starts(later))) == (10, 20)
    assert plan.wake_at == NOW + timedelta(seconds=1)


def test_a_deleted_deployment_stops_also_what_may_run_on_a_lost_node():
    plan = make_plan(one_lost(deleting=True))

    assert {action.replica for action in plan.actions} == {"r0", "r1"}

"""Draining a node: a replacement serves first, and neither floor nor ceiling is broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import DeploymentPhase, Reason, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from tests.factories import (
    HOUR_AGO,
    NOW,
    a_node,
    a_policy,
    a_replica,
    a_revision,
    a_rollout,
    a_running_snapshot,
    a_spec,
    carried_out,
)

DRAINED = (a_node("a", draining=True, cordoned=True), a_node("b"))


def acted(snapshot):
    """Return the numbers of starts and of stops of one pass."""
    actions = make_plan(snapshot).actions
    starts = [action for action in actions if isinstance(action, StartReplica)]
    stops = [action for action in actions if isinstance(action, StopReplica)]
    return len(starts), len(stops)


def draining(size=3, surge=1, unavailable=0, *, nodes=DRAINED, **fields):
    """Return a deployment at rest, all of it on node a, which is being drained."""
    fields.setdefault("spec", a_spec(size, policy=a_policy(surge, unavailable)))
    return a_running_snapshot(size, nodes=nodes, **fields)


def serving(snapshot):
    """Return the snapshot once everything that was started serves and what was stopped is gone."""
    return replace(
        snapshot,
        replicas=tuple(
            replace(view, phase=ReplicaPhase.RUNNING, ready=True, ready_at=HOUR_AGO)
            for view in snapshot.replicas
            if view.phase.is_live and view.node is not None
        ),
    )


@pytest.mark.parametrize(
    ("size", "surge", "unavailable", "expected"),
    [
        pytest.param(1, 1, 0, (1, 0), id="one-replica-gets-its-replacement-first"),
        pytest.param(3, 1, 0, (1, 0), id="one-at-a-time"),
        pytest.param(3, 2, 1, (2, 0), id="as-many-as-the-surge-allows"),
        pytest.param(3, 9, 0, (3, 0), id="never-more-than-leave"),
        pytest.param(3, 0, 1, (1, 1), id="without-surge-one-stops-first"),
        pytest.param(3, 0, 2, (2, 2), id="as-many-as-may-be-unavailable"),
    ],
)
def test_the_first_step_of_a_drain(size, surge, unavailable, expected):
    assert acted(draining(size, surge, unavailable)) == expected


def test_a_recreated_deployment_stops_first():
    assert acted(draining(2, spec=a_spec(2, policy=a_policy(recreate=True)))) == (2, 2)


def test_nothing_stops_before_the_replacement_serves():
    begun = carried_out(draining(1), make_plan(draining(1)))
    assert acted(begun) == (0, 0)

    assert acted(serving(begun)) == (0, 1)


@pytest.mark.parametrize("bounds", [(1, 0), (2, 1), (0, 1), (0, 3), (3, 3)])
def test_a_drain_comes_to_its_end_step_by_step(bounds):
    snapshot = draining(3, *bounds)
    for _ in range(8):
        snapshot = serving(carried_out(snapshot, make_plan(snapshot)))

    plan = make_plan(snapshot)

    assert [view.node for view in snapshot.replicas] == ["b", "b", "b"]
    assert (plan.actions, plan.settled) == ((), True)


def test_what_does_not_serve_is_not_missed():
    replicas = (a_replica("r0", ready=False), a_replica("r1", slot=1))
    plan = make_plan(draining(2, replicas=replicas))

    stops = [action for action in plan.actions if isinstance(action, StopReplica)]
    assert [(stop.replica, stop.reason) for stop in stops] == [("r0", Reason.DRAIN)]
    assert "does not serve" in stops[0].message


def test_when_no_other_node_fits_everything_stays_and_says_so():
    plan = make_plan(draining(1, nodes=DRAINED[:1]))

    (start,) = plan.actions
    assert start.node is None
    assert "a is being drained" in start.waiting
    assert plan.verdict.phase is DeploymentPhase.PROGRESSING
    assert "moves off nodes that are drained" in plan.verdict.message
    assert not plan.settled


def test_after_the_deadline_what_is_left_stops():
    late = (replace(DRAINED[0], drain_until=NOW), DRAINED[1])

    plan = make_plan(draining(2, nodes=late))

    assert acted(draining(2, nodes=late)) == (2, 2)
    assert any("time for it is over" in action.message for action in plan.actions)


def test_the_deadline_is_a_time_to_look_again():
    until = NOW + timedelta(minutes=5)
    nodes = (replace(DRAINED[0], drain_until=until), DRAINED[1])

    assert make_plan(draining(1, nodes=nodes)).wake_at == until


def test_a_rollout_moves_everything_anyway():
    rolling = draining(
        2,
        revisions=(a_revision(1, 2, completed=True), a_revision(2, 1)),
        replicas=(
            a_replica("r0"),
            a_replica("r1", slot=1),
            a_replica("n0", revision=2, node="b", phase=ReplicaPhase.STARTING),
        ),
        rollout=a_rollout(RolloutState.PROGRESSING, 2, updated=1, old=2, ready=2, available=2),
    )

    assert acted(rolling) == (0, 0)


def test_a_cancelled_drain_takes_the_surplus_back():
    begun = carried_out(draining(1), make_plan(draining(1)))

    plan = make_plan(replace(begun, nodes=(a_node("a"), a_node("b"))))

    (stop,) = plan.actions
    assert stop.replica.startswith("new")

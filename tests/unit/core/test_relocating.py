"""A move that was asked for: replacement first, one at a time, dropped when things have changed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import EndMove, FinishDeletion, Reason, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.snapshot import MoveView
from tests.factories import (
    HOUR_AGO,
    NOW,
    a_node,
    a_policy,
    a_replica,
    a_rollout,
    a_running_snapshot,
    a_spec,
    carried_out,
)

A_B_C = (a_node("a"), a_node("b"), a_node("c"))
FIVE = (NOW - timedelta(minutes=1),) * 5


def asked(*replicas, target="b"):
    """Return moves from a to another node, in this order."""
    return tuple(
        MoveView(id=number, replica=uid, source="a", target=target, why="a 3, b 0")
        for number, uid in enumerate(replicas, start=1)
    )


def moving(*replicas, size=3, policy=None, **fields):
    """Return a deployment at rest, all of it on node a, with moves to b asked for."""
    fields.setdefault("spec", a_spec(size, policy=policy or a_policy()))
    fields.setdefault("nodes", A_B_C)
    return a_running_snapshot(size, asked=asked(*(replicas or ("r1-0",))), **fields)


def of_kind(snapshot, kind):
    return [action for action in make_plan(snapshot).actions if isinstance(action, kind)]


def serving(snapshot):
    """Return the snapshot after its plan, with everything live serving and the stopped gone."""
    after = carried_out(snapshot, make_plan(snapshot))
    live = (view for view in after.replicas if view.phase.is_live)
    ready = {"phase": ReplicaPhase.RUNNING, "ready": True, "ready_at": HOUR_AGO}
    return replace(after, replicas=tuple(replace(view, **ready) for view in live))


def test_the_replacement_starts_on_the_chosen_node_first():
    (start,) = make_plan(moving()).actions

    assert (start.node, start.replaces, start.reason) == ("b", "r1-0", Reason.REBALANCE)
    assert start.origin == "moved from a to b (a 3, b 0)"


def test_the_replica_stops_and_the_move_is_done_once_the_replacement_serves():
    assert make_plan(carried_out(moving(), make_plan(moving()))).actions == ()

    stop, end = make_plan(serving(moving())).actions

    assert (stop.replica, stop.reason) == ("r1-0", Reason.REBALANCE)
    assert (end.move, end.done, end.message) == (1, True, "moved from a to b (a 3, b 0)")


def test_one_moves_at_a_time():
    both = moving("r1-0", "r1-1")
    assert [start.replaces for start in of_kind(both, StartReplica)] == ["r1-0"]

    after = serving(serving(both))

    assert [start.replaces for start in of_kind(after, StartReplica)] == ["r1-1"]


@pytest.mark.parametrize("policy", [a_policy(0, 1), a_policy(recreate=True)])
def test_without_room_for_both_the_replica_makes_way(policy):
    snapshot = moving(policy=policy)
    assert [stop.replica for stop in of_kind(snapshot, StopReplica)] == ["r1-0"]
    assert [start.node for start in of_kind(snapshot, StartReplica)] == ["b"]

    begun = carried_out(snapshot, make_plan(snapshot))

    assert make_plan(begun).actions == ()
    assert [end.done for end in of_kind(serving(snapshot), EndMove)] == [True]


def test_it_is_at_rest_only_when_every_move_has_ended():
    snapshot = moving("r1-0", "r1-1")
    assert not make_plan(snapshot).settled
    assert "1 replica moves to another node" in make_plan(snapshot).verdict.message

    for _ in range(6):
        snapshot = serving(snapshot)

    plan = make_plan(snapshot)
    assert (plan.actions, plan.settled, snapshot.asked) == ((), True, ())
    assert sorted(view.node for view in snapshot.replicas) == ["a", "b", "b"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"asked": asked("gone")}, "the replica is there no longer", id="replica-gone"),
        pytest.param(
            {"rollout": a_rollout(RolloutState.PROGRESSING)}, "a rollout has begun", id="rollout"
        ),
        pytest.param(
            {"nodes": (a_node("a"), a_node("b", cordoned=True))}, "b is cordoned", id="cordoned"
        ),
        pytest.param({"nodes": (a_node("a"),)}, "b has been forgotten", id="forgotten"),
        pytest.param(
            {"nodes": (a_node("a", draining=True, cordoned=True), a_node("b"))},
            "it leaves a already (node a is drained)",
            id="drained-meanwhile",
        ),
        pytest.param(
            {"replicas": tuple(a_replica(f"r1-{n}", slot=n, ready=n < 2) for n in range(3))},
            "not every replica of the deployment serves",
            id="another-one-is-down",
        ),
        pytest.param(
            {"replicas": tuple(a_replica(f"r1-{n}", slot=n, node="abb"[n]) for n in range(3))},
            "b has as many replicas of the deployment as a by now",
            id="nothing-to-gain",
        ),
    ],
)
def test_a_move_whose_situation_has_changed_is_dropped_with_the_reason(changes, why):
    ended = of_kind(replace(moving(), **changes), EndMove)

    assert [(end.move, end.done) for end in ended] == [(1, False)]
    assert why in ended[0].message


def test_after_a_dropped_move_the_next_one_begins():
    snapshot = replace(moving(), asked=asked("gone", "r1-1"))

    assert [start.replaces for start in of_kind(snapshot, StartReplica)] == ["r1-1"]
    assert [end.move for end in of_kind(snapshot, EndMove)] == [1]


def test_a_successor_that_keeps_failing_is_given_up():
    begun = carried_out(moving(), make_plan(moving()))
    newest = replace(begun.replicas[-1], phase=ReplicaPhase.RUNNING, failures=FIVE)
    failing = replace(begun, replicas=(*begun.replicas[:-1], newest))

    assert [stop.replica for stop in of_kind(failing, StopReplica)] == [newest.uid]
    assert "keeps failing on b" in of_kind(failing, EndMove)[0].message


def test_a_cancelled_move_takes_the_successor_back():
    begun = replace(carried_out(moving(), make_plan(moving())), asked=())

    assert [stop.replica for stop in of_kind(begun, StopReplica)] == ["new-1-3"]


def test_deleting_the_deployment_ends_its_moves():
    deleted = replace(moving("r1-0", "r1-1"), deleting=True)

    assert [end.done for end in of_kind(deleted, EndMove)] == [False, False]
    assert not of_kind(deleted, FinishDeletion)

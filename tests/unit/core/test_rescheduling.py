"""A replica that keeps failing on one node moves to another; what fails everywhere stays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core import rescheduling
from orchestrator.core.lifecycle import NodeState, ReplicaPhase, RolloutState
from orchestrator.core.plan import AssignReplica, Reason, StartReplica, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import ReschedulePolicy
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

A_B = (a_node("a"), a_node("b"))
FIVE = tuple(NOW - timedelta(minutes=9 - n) for n in range(5))


def failing(uid="r0", **fields):
    """Return a replica on node a that has failed five times in ten minutes and is down now."""
    fields.setdefault("ready", False)
    fields.setdefault("failures", FIVE)
    return a_replica(uid, **fields)


def one_failing(*, policy=None, nodes=A_B, **fields):
    """Return a deployment of one replica, which keeps failing on node a."""
    spec = a_spec(1, policy=policy or a_policy())
    return a_running_snapshot(1, spec=spec, nodes=nodes, replicas=(failing(**fields),))


def acted(snapshot):
    """Return the nodes on which one pass starts something, and what it stops."""
    actions = make_plan(snapshot).actions
    starts = [action.node for action in actions if isinstance(action, StartReplica)]
    stops = [action.replica for action in actions if isinstance(action, StopReplica)]
    return starts, stops


def with_newest(snapshot, **fields):
    """Return the snapshot after the plan, with the replica that was started changed so."""
    after = carried_out(snapshot, make_plan(snapshot))
    newest = max(after.replicas, key=lambda view: view.created_at)
    others = tuple(view for view in after.replicas if view is not newest)
    return replace(after, replicas=(*others, replace(newest, **fields)))


SERVES = {"phase": ReplicaPhase.RUNNING, "ready": True, "ready_at": HOUR_AGO}


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        pytest.param(FIVE, (["b"], []), id="five-in-ten-minutes-move-it"),
        pytest.param(FIVE[1:], ([], []), id="four-do-not"),
        pytest.param((NOW - timedelta(minutes=10), *FIVE[1:]), ([], []), id="nor-an-older-fifth"),
        pytest.param((HOUR_AGO, *FIVE), (["b"], []), id="older-ones-do-no-harm"),
    ],
)
def test_when_a_replica_moves(failures, expected):
    assert acted(one_failing(failures=failures)) == expected


def test_the_start_says_from_where_to_where_and_why():
    (start,) = make_plan(one_failing()).actions

    assert start.origin == "moved from a to b after 5 failures in 10 minutes"
    assert (start.message, start.reason) == (start.origin, Reason.RESCHEDULE)
    assert (start.replaces, start.moves) == ("r0", 1)


def test_it_stays_until_its_successor_serves():
    begun = with_newest(one_failing())
    assert acted(begun) == ([], [])

    plan = make_plan(with_newest(one_failing(), **SERVES))

    (stop,) = plan.actions
    assert (stop.replica, stop.reason) == ("r0", Reason.RESCHEDULE)
    assert "moves away from a after 5 failures in 10 minutes" in stop.message


def test_it_goes_when_its_successor_fails_as_often():
    snapshot = with_newest(one_failing(), phase=ReplicaPhase.RUNNING, failures=FIVE)

    assert acted(snapshot) == ([], ["r0"])


@pytest.mark.parametrize(
    "policy", [a_policy(0, 1), a_policy(recreate=True)], ids=["no-surge", "recreated"]
)
def test_without_room_for_both_it_makes_way(policy):
    assert acted(one_failing(policy=policy)) == (["b"], ["r0"])


def test_without_room_one_goes_at_a_time():
    three = tuple(failing(f"r{slot}", slot=slot) for slot in range(3))
    spec = a_spec(3, policy=a_policy(0, 1))
    snapshot = a_running_snapshot(3, spec=spec, nodes=A_B, replicas=three)

    assert acted(snapshot) == (["b"], ["r0"])
    assert acted(with_newest(snapshot)) == ([], [])


def test_the_node_it_fails_on_is_not_chosen_again_however_empty():
    beside = tuple(a_replica(f"b{slot}", slot=slot, node="b") for slot in range(1, 6))
    snapshot = a_running_snapshot(6, nodes=A_B, replicas=(failing(), *beside))

    assert acted(snapshot) == (["b"], [])


def test_it_stays_and_says_so_when_no_other_node_fits():
    (action,) = make_plan(one_failing(nodes=(a_node("a"), a_node("b", cordoned=True)))).actions

    assert isinstance(action, AssignReplica)
    assert (action.node, action.reason) == (None, Reason.RESCHEDULE_WAITS)
    assert action.waiting.startswith("it keeps failing on a (5 failures in 10 minutes) and stays")
    assert "b is cordoned" in action.waiting


def test_what_it_waits_for_is_said_once_and_taken_back():
    alone = one_failing(nodes=(a_node("a"),))
    told = carried_out(alone, make_plan(alone))
    assert make_plan(told).actions == ()

    calm = replace(told, replicas=(replace(told.replicas[0], failures=(), **SERVES),))
    (action,) = make_plan(calm).actions

    assert (action.replica, action.waiting) == ("r0", "")


def test_what_fails_on_every_node_stays_everywhere():
    both = (failing(), failing("r1", slot=1, node="b"))
    snapshot = a_running_snapshot(2, nodes=A_B, replicas=both)

    assert acted(snapshot) == ([], [])


@pytest.mark.parametrize(
    ("moves", "minutes", "expected"),
    [
        pytest.param(0, 0, ["b"], id="the-first-time-at-once"),
        pytest.param(1, 9, [], id="not-again-within-ten-minutes"),
        pytest.param(1, 10, ["b"], id="then-again"),
        pytest.param(2, 19, [], id="the-next-time-after-twenty"),
        pytest.param(3, 40, ["b"], id="and-so-on"),
        pytest.param(30, 179, [], id="up-to-three-hours"),
        pytest.param(30, 180, ["b"], id="and-no-longer"),
    ],
)
def test_a_replica_that_was_moved_stays_for_ever_longer(moves, minutes, expected):
    since = NOW - timedelta(minutes=minutes)

    assert acted(one_failing(moves=moves, created_at=since))[0] == expected


def test_the_next_pass_comes_when_it_may_move_again():
    since = NOW - timedelta(minutes=7)

    plan = make_plan(one_failing(moves=1, created_at=since))

    assert plan.wake_at == since + timedelta(minutes=10)
    assert "moves again after 12:03 UTC" in plan.actions[0].waiting


@pytest.mark.parametrize(("minutes", "moves"), [(15, 2), (20, 1)], ids=["in-a-row", "begins-anew"])
def test_how_often_it_moved_in_a_row(minutes, moves):
    since = NOW - timedelta(minutes=minutes)

    (start,) = make_plan(one_failing(moves=1, created_at=since)).actions

    assert start.moves == moves


def rolling(*others):
    """Return a rollout to revision 2, whose replica on node a keeps failing."""
    return a_running_snapshot(
        2,
        revisions=(a_revision(1, 2, completed=True), a_revision(2, 1 + len(others))),
        rollout=a_rollout(RolloutState.PROGRESSING, 2, updated=1, old=2),
        replicas=(a_replica("o0"), a_replica("o1", slot=1), failing("new", revision=2), *others),
        nodes=A_B,
    )


def test_a_rollout_whose_revision_serves_nowhere_is_left_to_its_own_rules():
    assert acted(rolling()) == ([], [])


def test_a_rollout_whose_revision_serves_elsewhere_goes_on_there():
    proof = a_replica("proof", revision=2, slot=1, node="b")

    starts, stops = acted(rolling(proof))

    assert starts[:1] == ["b"]
    assert "new" in stops


def test_one_that_failed_lately_itself_proves_nothing():
    wobbly = a_replica("w", revision=2, slot=1, node="b", failures=FIVE[:1])

    assert "new" not in acted(rolling(wobbly))[1]


def test_what_is_on_a_lost_node_or_a_drained_one_leaves_for_that_reason():
    lost = (a_node("a", state=NodeState.LOST, lost_at=NOW), a_node("b"))
    drained = (a_node("a", draining=True, cordoned=True), a_node("b"))

    for nodes in (lost, drained):
        (start,) = [
            action
            for action in make_plan(one_failing(nodes=nodes)).actions
            if isinstance(action, StartReplica)
        ]
        assert start.reason is not Reason.RESCHEDULE


def test_it_can_be_turned_off():
    off = replace(one_failing(), rescheduling=ReschedulePolicy(failures=0))

    assert acted(off) == ([], [])


def test_failures_told_late_count_as_spread_over_the_time_since():
    hour = rescheduling.noted((), number=4, since=HOUR_AGO, now=NOW)

    assert hour == tuple(NOW - timedelta(minutes=15 * n) for n in (3, 2, 1, 0))
    assert rescheduling.noted(hour, number=1, since=NOW, now=NOW) == (*hour, NOW)


def test_a_clock_that_ran_backwards_makes_no_failure_of_the_future():
    assert rescheduling.noted((), number=2, since=NOW + timedelta(hours=1), now=NOW) == (NOW, NOW)

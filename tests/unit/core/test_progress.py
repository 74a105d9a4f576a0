"""When a rollout moves, completes, is held, or fails."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import CompleteRollout, FailRollout, ScaleRevision, StartReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import OnFailure
from tests.factories import (
    NOW,
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

STATE = RolloutState
LONG_AGO = NOW - timedelta(seconds=601)


def a_stuck_snapshot(on_failure=OnFailure.ROLLBACK, *, completed=True, **fields):
    """Three old replicas serve, a new one never does, and the deadline has passed."""
    is_rollback = fields.pop("is_rollback", False)
    fields.setdefault("progressed_at", LONG_AGO)
    fields.setdefault("state", STATE.PROGRESSING)
    rollout = a_rollout(scaled_for=3, updated=1, old=3, ready=3, available=3, **fields)
    return a_snapshot(
        spec=a_spec(3, on_failure=on_failure),
        revisions=(
            a_revision(1, 3, completed=completed),
            a_revision(2, 1, is_rollback=is_rollback),
        ),
        replicas=(*some_replicas(3), *some_replicas(1, revision=2, available=0)),
        rollout=rollout,
    )


def kinds(plan):
    return [type(action) for action in plan.actions]


def test_a_rollout_completes_when_every_replica_is_new_and_available():
    snapshot = a_running_snapshot(3, rollout=a_rollout(updated=3, ready=3, available=2))

    plan = make_plan(snapshot)

    (action,) = plan.actions
    assert action.message == (
        "the rollout to revision 1 is complete: all 3 replicas are of it and available"
    )
    assert plan.rollout.state is STATE.COMPLETE


def test_a_rollout_completes_in_the_pass_that_retires_the_last_old_replica():
    snapshot = a_snapshot(
        spec=a_spec(1),
        revisions=(a_revision(1, 1, completed=True), a_revision(2, 1)),
        replicas=(a_replica("old", 1), a_replica("new", 2)),
        rollout=a_rollout(scaled_for=1),
    )

    plan = make_plan(snapshot)

    assert plan.actions[-1].revision == 2
    assert kinds(plan)[-1] is CompleteRollout
    assert make_plan(carried_out(snapshot, plan)).actions == ()


def test_a_rollout_that_misses_its_deadline_goes_back_and_does_nothing_else():
    (action,) = make_plan(a_stuck_snapshot()).actions

    assert (action.revision, action.rollback_to, action.pause) == (2, 1, False)
    assert action.message == (
        "revision 2 made no progress for 600 s with 0 of 3 replicas available; "
        "going back to revision 1"
    )


@pytest.mark.parametrize(
    ("snapshot", "pause", "ending"),
    [
        pytest.param(
            a_stuck_snapshot(OnFailure.PAUSE), True, "held until somebody changes or resumes it",
            id="on-request",
        ),
        pytest.param(
            a_stuck_snapshot(completed=False), True, "no earlier revision ever completed, so "
            "the rollout is held", id="for-want-of-a-target",
        ),
        pytest.param(
            a_stuck_snapshot(is_rollback=True), True, "it is itself a rollback, so the rollout "
            "is held", id="as-a-rollback-is-never-rolled-back",
        ),
        pytest.param(
            a_stuck_snapshot(OnFailure.NONE), False, "trying on, as on-failure is none",
            id="or-only-noted",
        ),
    ],
)  # fmt: skip
def test_a_failed_rollout_is_held(snapshot, pause, ending):
    plan = make_plan(snapshot)

    (action,) = [action for action in plan.actions if isinstance(action, FailRollout)]
    assert (action.rollback_to, action.pause) == (None, pause)
    assert action.message.endswith(ending)
    assert plan.rollout.state is STATE.DEADLINE_EXCEEDED


def test_a_failure_is_reported_once():
    snapshot = a_stuck_snapshot(OnFailure.PAUSE)

    later = replace(carried_out(snapshot, make_plan(snapshot)), now=NOW + timedelta(hours=1))

    assert make_plan(later).actions == ()


def test_the_deadline_has_not_passed_at_its_very_moment():
    snapshot = a_stuck_snapshot(progressed_at=NOW - timedelta(seconds=600))

    plan = make_plan(snapshot)

    assert plan.actions == ()
    assert plan.wake_at == NOW + timedelta(seconds=1)


def test_a_held_rollout_neither_surges_nor_retires_but_replaces_what_is_missing():
    snapshot = a_stuck_snapshot(OnFailure.PAUSE, state=STATE.DEADLINE_EXCEEDED)
    first, *_, broken = snapshot.replicas

    plan = make_plan(replace(snapshot, replicas=(first, broken)))

    assert kinds(plan) == [StartReplica, StartReplica]
    assert {start.revision for start in plan.actions} == {1}


def test_a_failed_rollout_that_is_left_to_try_on_goes_on_when_it_can():
    snapshot = a_stuck_snapshot(OnFailure.NONE, state=STATE.DEADLINE_EXCEEDED)
    *old, broken = snapshot.replicas
    recovered = replace(broken, ready=True, ready_at=NOW)

    plan = make_plan(replace(snapshot, replicas=(*old, recovered)))

    assert kinds(plan)[:2] == [ScaleRevision, ScaleRevision]
    assert plan.rollout.state is STATE.PROGRESSING
    assert plan.rollout.progressed_at == NOW


def test_a_held_rollout_that_completes_after_all_is_complete():
    rollout = a_rollout(STATE.DEADLINE_EXCEEDED, 3)

    plan = make_plan(a_running_snapshot(3, rollout=rollout))

    assert kinds(plan) == [CompleteRollout]


def test_a_completed_deployment_never_times_out():
    rollout = a_rollout(STATE.COMPLETE, 3, progressed_at=LONG_AGO)

    plan = make_plan(a_running_snapshot(3, replicas=some_replicas(3, available=1), rollout=rollout))

    assert plan.actions == ()
    assert plan.rollout.state is STATE.COMPLETE


@pytest.mark.parametrize(
    ("seen", "moved"),
    [
        pytest.param({"updated": 0, "old": 3, "ready": 3, "available": 3}, True, id="one-more-new"),
        pytest.param({"updated": 1, "old": 4, "ready": 3, "available": 3}, True, id="one-less-old"),
        pytest.param({"updated": 1, "old": 3, "ready": 2, "available": 3}, True, id="more-ready"),
        pytest.param({"updated": 1, "old": 3, "ready": 3, "available": 2}, True, id="more-serve"),
        pytest.param({"updated": 1, "old": 3, "ready": 3, "available": 3}, False, id="the-same"),
        pytest.param({"updated": 3, "old": 0, "ready": 3, "available": 3}, False, id="a-new-goal"),
    ],
)
def test_progress_restarts_the_clock(seen, moved):
    snapshot = a_stuck_snapshot()

    rollout = make_plan(
        replace(snapshot, rollout=a_rollout(**seen, progressed_at=LONG_AGO))
    ).rollout

    assert (rollout.progressed_at == NOW) is moved


def test_a_replica_that_comes_and_goes_is_progress_only_once():
    snapshot = a_stuck_snapshot(progressed_at=NOW - timedelta(seconds=60))
    *old, broken = snapshot.replicas
    up = replace(snapshot, replicas=(*old, replace(broken, ready=True)))

    first = make_plan(up).rollout
    down = make_plan(replace(snapshot, rollout=first, now=NOW + timedelta(seconds=5))).rollout
    again = make_plan(replace(up, rollout=down, now=NOW + timedelta(seconds=9))).rollout

    assert (first.progressed_at, again.progressed_at) == (NOW, NOW)


def test_the_clock_does_not_run_while_paused_and_starts_anew_on_resume():
    stuck = a_stuck_snapshot()
    paused = replace(stuck, spec=replace(stuck.spec, paused=True))

    held = make_plan(paused)
    resumed = make_plan(replace(stuck, rollout=held.rollout))

    assert (held.actions, held.rollout.state, held.wake_at) == ((), STATE.PAUSED, None)
    assert (resumed.actions, resumed.rollout.state) == ((), STATE.PROGRESSING)
    assert resumed.rollout.progressed_at == NOW


def test_scaling_works_in_proportion_while_paused():
    snapshot = a_snapshot(
        spec=a_spec(20, policy=a_policy(5, 0), paused=True),
        revisions=(a_revision(1, 8), a_revision(2, 5)),
        replicas=(*some_replicas(8), *some_replicas(5, revision=2, available=0)),
        rollout=a_rollout(scaled_for=10, scaled_max=13),
    )

    plan = make_plan(snapshot)

    scaled = [a.desired for a in plan.actions if isinstance(a, ScaleRevision)]
    assert scaled == [15, 10]
    assert (plan.rollout.scaled_for, plan.rollout.scaled_max) == (20, 25)
    assert make_plan(carried_out(snapshot, plan)).actions == ()


@pytest.mark.parametrize(
    ("completed", "revived"),
    [
        pytest.param((True, False), [1], id="the-latest-proven-revision-comes-back"),
        pytest.param((True, True), [2], id="the-current-one-when-it-is-proven"),
        pytest.param((False, False), [], id="nothing-unproven-starts"),
    ],
)
def test_scaling_from_zero_while_paused(completed, revived):
    first, second = completed
    snapshot = a_snapshot(
        spec=a_spec(2, paused=True),
        revisions=(a_revision(1, completed=first), a_revision(2, completed=second)),
        rollout=a_rollout(STATE.PAUSED, 0),
    )

    plan = make_plan(snapshot)

    assert [a.revision for a in plan.actions if isinstance(a, ScaleRevision)] == revived


def test_a_surge_changed_while_paused_keeps_the_recorded_maximum():
    snapshot = a_snapshot(
        spec=a_spec(3, policy=a_policy(9, 0), paused=True),
        revisions=(a_revision(1, 3),),
        replicas=some_replicas(3),
        rollout=a_rollout(STATE.PAUSED, 3, scaled_max=4),
    )

    assert make_plan(snapshot).rollout.scaled_max == 4


def test_a_stopping_replica_does_not_hold_completion_up():
    leaving = a_replica("old", phase=ReplicaPhase.STOPPING)
    snapshot = a_running_snapshot(2, rollout=a_rollout(scaled_for=2))

    plan = make_plan(replace(snapshot, replicas=(*snapshot.replicas, leaving)))

    assert kinds(plan) == [CompleteRollout]

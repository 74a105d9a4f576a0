"""The word and the sentence people read."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import DeploymentPhase
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import OnFailure
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
    some_replicas,
)

PHASE = DeploymentPhase
DONE = RolloutState.COMPLETE
FAILED = RolloutState.DEADLINE_EXCEEDED


def half_way(**fields):
    """Return a rollout of three with one new replica that is starting."""
    spec = fields.pop("spec", a_spec(3))
    return a_snapshot(
        spec=spec,
        revisions=(a_revision(1, 3, completed=True), a_revision(2, 1)),
        replicas=(*some_replicas(3), a_replica("new", 2, phase=ReplicaPhase.STARTING)),
        **fields,
    )


def three_with(**fields):
    return a_running_snapshot(3, replicas=(*some_replicas(2), a_replica("r", 1, 2, **fields)))


def seen(available):
    return a_rollout(DONE, 3, updated=3, ready=available, available=available)


SITUATIONS = [
    pytest.param(a_running_snapshot(3), PHASE.AVAILABLE, "all 3 replicas are available", id="all"),
    pytest.param(a_running_snapshot(1), PHASE.AVAILABLE, "1 replica is available", id="the-one"),
    pytest.param(a_running_snapshot(0), PHASE.AVAILABLE, "scaled to zero", id="none-wanted"),
    pytest.param(
        a_snapshot(),
        PHASE.PROGRESSING,
        "0 of 3 updated replicas are available; 3 are starting",
        id="just-begun",
    ),
    pytest.param(
        half_way(),
        PHASE.PROGRESSING,
        "0 of 3 updated replicas are available; "
        "1 is starting and 3 old replicas are still to be retired",
        id="half-way",
    ),
    pytest.param(
        a_snapshot(nodes=(a_node("a", cordoned=True),)),
        PHASE.PROGRESSING,
        "0 of 3 updated replicas are available; 3 wait for a node "
        "(no node fits: a is cordoned; it would fit on a if it was uncordoned)",
        id="no-node-for-new-ones",
    ),
    pytest.param(
        three_with(ready=False),
        PHASE.DEGRADED,
        "2 of 3 replicas are available; 1 is running but not ready yet",
        id="one-has-stopped-serving",
    ),
    pytest.param(
        replace(three_with(ready=False), rollout=seen(2)),
        PHASE.PROGRESSING,
        "scaling to 3 replicas, 2 are available; 1 is running but not ready yet",
        id="one-has-never-served-since-it-was-asked-for",
    ),
    pytest.param(
        replace(three_with(ready_at=NOW), spec=a_spec(3, min_ready_seconds=10)),
        PHASE.DEGRADED,
        "2 of 3 replicas are available; 1 is ready for less than 10 s",
        id="one-is-ripening",
    ),
    pytest.param(
        replace(a_running_snapshot(3), spec=a_spec(2)),
        PHASE.PROGRESSING,
        "scaling to 2 replicas, 3 are available",
        id="one-too-many",
    ),
    pytest.param(
        half_way(spec=a_spec(3, paused=True)),
        PHASE.PAUSED,
        "the rollout to revision 2 is paused; 1 of 3 replicas is updated and "
        "3 of 3 replicas are available",
        id="paused-half-way",
    ),
    pytest.param(
        a_running_snapshot(3, spec=a_spec(3, paused=True)),
        PHASE.PAUSED,
        "paused with no rollout under way; 3 of 3 replicas are available",
        id="paused-at-rest",
    ),
    pytest.param(
        half_way(rollout=a_rollout(FAILED, 3, updated=1, old=3)),
        PHASE.FAILED,
        "revision 2 missed its progress deadline of 600 s with 0 of 3 updated replicas available; "
        "the rollout is held; 3 old replicas are kept",
        id="failed-and-held",
    ),
    pytest.param(
        a_snapshot(rollout=a_rollout(FAILED, 3)),
        PHASE.FAILED,
        "revision 1 missed its progress deadline of 600 s with 0 of 3 updated replicas available; "
        "the rollout is held",
        id="failed-with-nothing-older",
    ),
    pytest.param(
        half_way(
            spec=a_spec(3, on_failure=OnFailure.NONE),
            rollout=a_rollout(FAILED, 3, updated=1, old=3, ready=3, available=3),
        ),
        PHASE.FAILED,
        "revision 2 missed its progress deadline of 600 s with 0 of 3 updated replicas available; "
        "trying on",
        id="failed-and-trying-on",
    ),
    pytest.param(
        half_way(
            rollout=a_rollout(
                updated=1, old=3, ready=3, available=3, progressed_at=NOW - timedelta(hours=1)
            )
        ),
        PHASE.FAILED,
        "revision 2 missed its progress deadline of 600 s with 0 of 3 updated replicas available; "
        "going back to revision 1",
        id="failed-just-now",
    ),
    pytest.param(
        replace(a_running_snapshot(1), deleting=True),
        PHASE.DELETING,
        "being deleted; 1 replica is still to stop",
        id="being-deleted",
    ),
    pytest.param(
        a_snapshot(deleting=True),
        PHASE.DELETING,
        "being deleted; nothing of it runs any more",
        id="deleted",
    ),
    pytest.param(
        a_snapshot(
            spec=a_spec(1, policy=a_policy(recreate=True)),
            revisions=(a_revision(1), a_revision(2)),
            replicas=(a_replica("old", 1, phase=ReplicaPhase.STOPPING),),
        ),
        PHASE.PROGRESSING,
        "0 of 1 updated replica is available; 1 old replica is stopping first",
        id="recreate-waits-for-the-old",
    ),
]


@pytest.mark.parametrize(("snapshot", "phase", "message"), SITUATIONS)
def test_the_verdict_names_the_state_and_what_is_waited_for(snapshot, phase, message):
    verdict = make_plan(snapshot).verdict

    assert (verdict.phase, verdict.message) == (phase, message)


@pytest.mark.parametrize("waiting", ["", "no node fits: a is cordoned"])
def test_a_replica_that_waits_is_explained_whether_or_not_the_text_is_new(waiting):
    replica = {"node": None, "phase": ReplicaPhase.PENDING, "waiting": waiting}
    snapshot = replace(three_with(**replica), nodes=(a_node("a", cordoned=True),))

    verdict = make_plan(snapshot).verdict

    assert verdict.message == (
        "2 of 3 replicas are available; 1 waits for a node "
        "(no node fits: a is cordoned; it would fit on a if it was uncordoned)"
    )


def test_a_replica_placed_in_this_pass_is_starting():
    snapshot = three_with(node=None, phase=ReplicaPhase.PENDING)

    assert make_plan(snapshot).verdict.message == "2 of 3 replicas are available; 1 is starting"


def test_the_counts_are_those_seen_before_the_plan():
    verdict = make_plan(half_way()).verdict

    counts = (verdict.replicas, verdict.updated, verdict.ready, verdict.available)
    assert counts == (4, 1, 3, 3)

"""The kill order against Kubernetes' `ActivePodsWithRanks`."""

from datetime import timedelta

import pytest

from orchestrator.core import victims
from orchestrator.core.classify import take_census
from orchestrator.core.lifecycle import ReplicaPhase
from tests.factories import HOUR_AGO, NOW, a_replica, a_revision, a_snapshot, a_spec


def order_of(*replicas, min_ready_seconds=0):
    snapshot = a_snapshot(
        spec=a_spec(min_ready_seconds=min_ready_seconds),
        revisions=(a_revision(1),),
        replicas=replicas,
    )
    census = take_census(snapshot)
    chosen = victims.choose(replicas, len(replicas), census=census, now=NOW)
    return "".join(replica.uid for replica in chosen)


def test_the_whole_order_is_kubernetes_own():
    recently = NOW - timedelta(seconds=30)
    replicas = (
        a_replica("H", node="h", restarts=4),
        a_replica("G", node="g", ready_at=recently),
        a_replica("F", node="shared"),
        a_replica("E", node="shared"),
        a_replica("D", node="d", deletion_cost=-5),
        a_replica("C", node="c", ready=False),
        a_replica("B", node="b", phase=ReplicaPhase.STARTING),
        a_replica("A", node=None, phase=ReplicaPhase.PENDING),
    )

    assert order_of(*replicas) == "ABCDEFGH"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"restarts": 2}, {}, id="more-restarts"),
        pytest.param({"created_at": NOW - timedelta(minutes=1)}, {}, id="newer"),
        pytest.param({"created_at": NOW + timedelta(minutes=1)}, {}, id="from-a-clock-ahead"),
        pytest.param({"ready_at": NOW - timedelta(minutes=1)}, {"restarts": 9}, id="newly-ready"),
        pytest.param({"deletion_cost": -1}, {"restarts": 9}, id="cheaper"),
        pytest.param(
            {"phase": ReplicaPhase.PULLING}, {"phase": ReplicaPhase.STARTING}, id="earlier-phase"
        ),
    ],
)
def test_a_replica_goes_first_that_is(first, second):
    replicas = (a_replica("y", node="n", **second), a_replica("z", node="m", **first))

    assert order_of(*replicas) == "zy"


def test_ages_in_one_power_of_two_leave_it_to_the_uid():
    nearly = HOUR_AGO + timedelta(minutes=1)

    assert order_of(a_replica("b", node="n", ready_at=nearly), a_replica("a", node="m")) == "ab"


def test_one_that_is_not_yet_available_goes_before_a_cheaper_one_that_serves():
    young = a_replica("young", ready_at=NOW - timedelta(seconds=5))
    cheap = a_replica("cheap", deletion_cost=-5)

    assert order_of(cheap, young, min_ready_seconds=10) == "youngcheap"


def test_nobody_goes_when_nobody_is_too_many():
    census = take_census(a_snapshot())

    assert victims.choose((a_replica("a"),), -1, census=census, now=NOW) == ()

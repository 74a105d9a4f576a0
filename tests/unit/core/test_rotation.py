"""Who serves a service, who only finishes, and why the others are out."""

from __future__ import annotations

from datetime import timedelta

import pytest

from orchestrator.core.lifecycle import NodeState, ReplicaPhase
from orchestrator.core.rotation import Candidate, Standing, place_of, port_of, selects
from tests.factories import HOUR_AGO, NOW


def a_candidate(**fields):
    """Return a replica that serves."""
    values = {
        "uid": "r",
        "node": "a",
        "phase": ReplicaPhase.RUNNING,
        "ready": True,
        "ready_at": HOUR_AGO,
        "address": "10.0.0.1",
    }
    return Candidate(**values | fields)


@pytest.mark.parametrize(
    ("fields", "standing", "why"),
    [
        pytest.param({}, Standing.SERVING, "ready", id="ready"),
        pytest.param({"ready": False}, Standing.OUT, "it is not ready", id="not-ready"),
        pytest.param({"node": None}, Standing.OUT, "it waits for a node", id="no-node"),
        pytest.param(
            {"node_state": NodeState.LOST}, Standing.OUT, "its node a is lost", id="lost-node"
        ),
        pytest.param({"node_state": NodeState.SUSPECT}, Standing.SERVING, "ready", id="suspect"),
        pytest.param(
            {"phase": ReplicaPhase.STARTING}, Standing.OUT, "it is starting", id="starting"
        ),
        pytest.param(
            {"phase": ReplicaPhase.STOPPING}, Standing.OUT, "it is stopping", id="stopping"
        ),
        pytest.param(
            {"address": ""}, Standing.OUT, "node a has not said where it listens", id="no-address"
        ),
        pytest.param(
            {"ready_at": NOW - timedelta(seconds=4), "min_ready_seconds": 5},
            Standing.OUT,
            "it has been ready for less than 5 s (minReadySeconds)",
            id="too-young",
        ),
        pytest.param(
            {"ready_at": NOW - timedelta(seconds=5), "min_ready_seconds": 5},
            Standing.SERVING,
            "ready",
            id="old-enough",
        ),
        pytest.param(
            {"phase": ReplicaPhase.WITHDRAWN, "ready": False},
            Standing.DRAINING,
            "withdrawn: it gets no new connections and may finish those it has",
            id="withdrawn",
        ),
    ],
)
def test_a_replica_stands_where_it_should_and_says_why(fields, standing, why):
    place = place_of(a_candidate(**fields), now=NOW)

    assert (place.standing, place.why) == (standing, why)


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        pytest.param((("app", "web"),), True, id="one-label"),
        pytest.param((("app", "web"), ("tier", "front")), True, id="all-labels"),
        pytest.param((("app", "web"), ("tier", "back")), False, id="one-differs"),
        pytest.param((), False, id="an-empty-one-selects-nothing"),
    ],
)
def test_a_selector_takes_replicas_with_all_its_labels(selector, found):
    assert selects(selector, (("app", "web"), ("tier", "front"))) is found


@pytest.mark.parametrize(
    ("target", "number"),
    [
        pytest.param(80, 31080, id="a-port-that-is-mapped"),
        pytest.param("http", 31080, id="a-name"),
        pytest.param(9000, 9000, id="a-port-nobody-declared"),
        pytest.param("grpc", None, id="a-name-it-has-not"),
    ],
)
def test_a_target_port_is_where_the_replica_can_be_reached(target, number):
    candidate = a_candidate(named_ports=(("http", 80),), reachable=((80, 31080),))

    assert port_of(candidate, target) == number

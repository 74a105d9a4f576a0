"""What a node believes about itself and its replicas, and on which ports it serves the web."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.machine import spec
from worker.config import WorkerConfig
from worker.gateway import here, web_ports
from worker.protocol import NodePhase, ReplicaStatus


def a_status(**fields) -> ReplicaStatus:
    return ReplicaStatus(**{"uid": "r1", "epoch": 1, "phase": NodePhase.RUNNING} | fields)


@pytest.mark.parametrize(
    ("status", "has_looked", "known"),
    [
        pytest.param(a_status(address="10.5.0.2", ready=True), True, ("10.5.0.2", True), id="runs"),
        pytest.param(a_status(address="10.5.0.2"), True, ("10.5.0.2", False), id="unready"),
        pytest.param(a_status(reason="CrashLoopBackOff"), True, ("", False), id="dead"),
        pytest.param(a_status(), False, None, id="not-looked-at"),
        pytest.param(a_status(reason="EngineUnavailable"), True, None, id="engine-away"),
        pytest.param(a_status(address="10.5.0.2"), False, ("10.5.0.2", True), id="first-look"),
    ],
)
def test_a_replica_is_known_as_far_as_it_was_looked_at(
    status: ReplicaStatus, known: tuple[str, bool] | None, *, has_looked: bool
):
    seen = here.place("n1", [(spec(), status)], has_looked=has_looked, knows_all=True)

    replica = seen.replicas[spec().uid]
    assert (None if replica is None else (replica.address, replica.ready)) == known


def test_the_loopback_is_local_and_a_stranger_is_not():
    assert [here.is_local(a) for a in ("127.0.0.1", "::1", "203.0.113.9")] == [True, True, False]


@pytest.mark.parametrize(("asked", "chosen"), [((1234, 1235), (1234, 1235))])
def test_ports_that_were_asked_for_are_taken(
    tmp_path: Path, asked: tuple[int, int], chosen: tuple[int, int]
):
    assert web_ports.choose(tmp_path / "ports.json", asked) == chosen


def test_a_restart_keeps_its_ports_though_somebody_listens_there(tmp_path: Path):
    first = web_ports.choose(tmp_path / "gateway/ports.json", (0, 0))
    with socket.create_server(("", first[0])):
        again = web_ports.choose(tmp_path / "gateway/ports.json", (0, 0))
        other = web_ports.choose(tmp_path / "other/ports.json", (0, 0))

    assert again == first
    assert other[0] not in {0, first[0]}


@pytest.mark.parametrize(
    ("name", "value"), [("KIJABI_GATEWAY", "maybe"), ("KIJABI_NODE_ADDRESS", "n1.example")]
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path, name: str, value: str):
    env = {"KIJABI_HOME": str(tmp_path), "KIJABI_CLUSTER": "c", name: value}

    with pytest.raises(ValueError, match=f"{name} is '{value}'"):
        WorkerConfig.from_env(env)

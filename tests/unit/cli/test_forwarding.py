"""`port-forward`: ports as people write them, and which replica is meant."""

from __future__ import annotations

import socket

import pytest

from orchestrator.cli.client import Client, Refused
from orchestrator.cli.forwarding import Pair, Target, _listen, _pair


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("8080:80", Pair(here=8080, there=80)),
        ("80", Pair(here=80, there=80)),
        (":80", Pair(here=0, there=80)),
    ],
)
def test_ports_are_written_as_in_kubectl(text: str, pair: Pair):
    assert _pair(text) == pair


@pytest.mark.parametrize("text", ["", "http", "80:", "1:2:3", "70000:80", "80:70000", "-1:80", "0"])
def test_what_is_no_port_is_refused(text: str):
    with pytest.raises(Refused, match="is not a pair of ports; write 8080:80, 80 or :80"):
        _pair(text)


def test_a_port_that_is_taken_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Refused, match=f"cannot listen on 127.0.0.1:{port} .*name another"):
            _listen("127.0.0.1", port)


def replicas(*rows: tuple[str, str, bool]) -> dict:
    found = [{"uid": uid, "phase": phase, "ready": ready} for uid, phase, ready in rows]
    return {"results": found, "next": None}


@pytest.fixture
def client(api, tmp_path) -> Client:
    return Client(tmp_path)


def test_a_ready_replica_of_a_deployment_is_preferred(api, client: Client):
    api.answers = [
        (200, replicas(("a", "running", False), ("b", "pending", False), ("c", "running", True)))
    ]

    assert Target(client, "deployment/web", "default").replica() == "c"
    assert Target(client, "web", "default").replica() == "c"


def test_of_a_service_one_in_rotation_is_taken(api, client: Client):
    endpoints = [{"replica": "a", "standing": "out"}, {"replica": "b", "standing": "serving"}]
    rows = [{"service": "web2", "endpoints": []}, {"service": "web", "endpoints": endpoints}]
    api.answers = [(200, {"results": rows, "next": None})]

    assert Target(client, "service/web", "default").replica() == "b"


def test_a_bare_word_that_is_no_deployment_is_a_replica(api, client: Client):
    api.answers = [(404, {"detail": "no such deployment"})]

    assert Target(client, "a1b2", "default").replica() == "a1b2"
    assert Target(client, "replica/a1b2", "default").replica() == "a1b2"
    with pytest.raises(Refused, match="no such deployment"):
        Target(client, "deployment/a1b2", "default").replica()


def test_a_deployment_without_a_running_replica_is_refused(api, client: Client):
    api.answers = [(200, replicas(("a", "pending", False)))]

    with pytest.raises(Refused, match="deployment/web has no replica that runs"):
        Target(client, "deployment/web", "default").replica()

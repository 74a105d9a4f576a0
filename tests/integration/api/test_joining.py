"""A machine joins over HTTP, with the program that people start on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from orchestrator.models import NodeIdentity
from orchestrator.operations import broker_users
from orchestrator.operations.accounts import Role
from tests.integration.conftest import client_of
from worker import join as program
from worker import protocol
from worker.identity import Identity, Keys, path_in
from worker.join import CannotJoin

TOKENS = "/api/v1/nodes/join-tokens/"


@pytest.fixture
def server(
    live_server, transactional_db, settings, broker_url: str, tmp_path: Path, monkeypatch
) -> Iterator[str]:
    settings.REDIS_URL = broker_url
    monkeypatch.setenv("KIJABI_HOME", str(tmp_path))
    broker_users.client.cache_clear()
    yield live_server.url
    broker_users.client.cache_clear()


@pytest.fixture
def token(server: str) -> str:
    return client_of(Role.ADMIN).post(TOKENS).json()["token"]


def test_one_command_makes_a_machine_a_node(server: str, token: str, tmp_path: Path):
    identity = program.join(server, token, "n2")
    program._reach(identity)

    path = path_in(tmp_path, "n2")
    row = NodeIdentity.objects.get()
    assert Identity.load(path) == identity
    assert path.stat().st_mode & 0o777 == 0o600
    assert (row.name, row.check_key) == ("n2", identity.keys.public[0])
    assert identity.server == server


def test_the_token_comes_once_with_the_command_to_run(api: APIClient):
    answer = api.post(TOKENS)
    made = answer.json()

    assert answer.status_code == 201
    command = f"python3 manage.py node join http://testserver --token {made['token']}"
    assert made["command"] == command
    assert api.post(TOKENS, headers={"Idempotency-Key": "k"}).status_code == 400


def test_whoever_has_shown_nothing_cannot_have_us_read_much(api: APIClient):
    answer = APIClient().post("/api/v1/nodes/join/", "[" * 5000, content_type="application/json")

    assert answer.status_code == 413
    assert "at most 4096 bytes" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("n2", "kjoin_wrong", "not let in: this join token is unknown"),
        ("join", "", "not let in: 'join' is no name"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    server: str, token: str, name: str, text: str, sentence: str
):
    with pytest.raises(CannotJoin, match=sentence):
        program.join(server, text or token, name)


def test_who_has_joined_is_told_so(server: str, token: str):
    program.join(server, token, "n2")

    with pytest.raises(CannotJoin, match=f"n2 has joined {server} already"):
        program.join(server, token, "n2")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://127.0.0.1:1", "cannot be reached"),
        ("10.0.0.1:8000", "is no address; write http://HOST:PORT"),
        ("file:///etc/passwd", "is no address"),
        ("http://[::1", "is no address"),
        ("http://127.0.0.1:port", "is no address"),
        ("http://127.0.0.1:99999", "is no address"),
        ("http:///nodes", "is no address"),
        ("http://two words", "is no address"),
        ("http://127.0.0.1:1/\n", "is no address"),
    ],
)
def test_an_address_that_is_none_is_named(tmp_path, monkeypatch, url: str, sentence: str):
    monkeypatch.setenv("KIJABI_HOME", str(tmp_path))

    with pytest.raises(CannotJoin, match=sentence):
        program.join(url, "t", "n2")


def test_something_else_at_the_address_is_told(server: str):
    with pytest.raises(CannotJoin, match="does not answer as a control plane does"):
        program.join(f"{server}/static", "t", "n2")


def test_a_port_that_speaks_another_protocol_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("KIJABI_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=_greet, args=(other,), daemon=True).start()

        with pytest.raises(CannotJoin, match="does not answer as a control plane does"):
            program.join(f"http://127.0.0.1:{other.getsockname()[1]}", "t", "n2")


def _greet(server: socket.socket) -> None:
    with server.accept()[0] as connection:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        connection.recv(4096)


def test_a_newer_control_plane_is_refused():
    with pytest.raises(CannotJoin, match="upgrade Kijabi on this machine"):
        program._identity("http://there", {"version": 2}, Keys.make())


def test_a_newer_machine_is_refused(server: str, token: str, monkeypatch):
    monkeypatch.setattr(program, "protocol", type("Newer", (), {"VERSION": protocol.VERSION + 1}))

    with pytest.raises(CannotJoin, match="upgrade the control plane first"):
        program.join(server, token, "n2")


def test_clocks_that_differ_are_told_when_joining():
    with pytest.raises(CannotJoin, match=r"clocks .* apart"):
        program._compare_clocks({"now": 0.0})


def test_a_broker_out_of_reach_is_told_with_its_port(server: str, token: str):
    identity = program.join(server, token, "n2")
    broker_users.client().execute_command("ACL", "DELUSER", "node-n2")

    with pytest.raises(CannotJoin, match=r"joined, but the broker at .*:\d+ cannot be reached"):
        program._reach(identity)

"""A token lets one machine in, once; what joined is who it says it is, and nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from orchestrator.core.lifecycle import NodeState
from orchestrator.models import Event, JoinToken, Node, NodeIdentity
from orchestrator.operations import broker_users, joining
from orchestrator.operations.joining import CannotJoin, Machine, NameTaken, TokenUseless
from tests.cluster import change
from worker.identity import Identity, Keys, path_in


@pytest.fixture(autouse=True)
def broker(db, settings, broker_url: str) -> Iterator[None]:
    settings.REDIS_URL = broker_url
    broker_users.client.cache_clear()
    yield
    broker_users.client.cache_clear()


def a_machine(name: str = "n2", **fields: object) -> Machine:
    check_key, seal_key = Keys.make().public
    known = {"check_key": check_key, "seal_key": seal_key, "version": 1, "host": "10.0.0.1"}
    return Machine(name=name, **known | fields)


def join(token: str, machine: Machine | None = None, *, later: float = 0) -> joining.Welcome:
    now = timezone.now() + timedelta(seconds=later)
    return joining.join(token, machine or a_machine(), now=now)


@pytest.fixture
def token() -> str:
    return joining.make_token(change()).text


def test_a_machine_joins_and_is_told_how_to_reach_us(token: str, broker_url: str):
    machine = a_machine()

    welcome = join(token, machine)

    row = NodeIdentity.objects.get(name="n2")
    assert (row.check_key, row.seal_key) == (machine.check_key, machine.seal_key)
    port = broker_url.rpartition(":")[2]
    assert welcome.broker.startswith("redis://node-n2:")
    assert welcome.broker.endswith(f"@10.0.0.1:{port}")
    assert Event.objects.get(reason="NodeAdmitted").node == "n2"


def test_the_token_is_not_kept_and_its_making_is_for_the_audit(token: str):
    row = JoinToken.objects.get()
    event = Event.objects.get(reason="JoinTokenMade")

    assert token not in (row.digest, event.message)
    assert (event.actor, event.verb, event.kind) == ("tester", "create", "join token")


def test_a_token_is_good_once(token: str):
    join(token)

    with pytest.raises(TokenUseless, match="was used by n2"):
        join(token, a_machine("n3"))


@pytest.mark.parametrize(
    ("text", "later", "sentence"),
    [("", 601, "is too old"), ("kjoin_nonsense", 0, "is unknown"), ("\x00", 0, "is unknown")],
)
def test_a_token_that_lets_nobody_in_says_why(token: str, text: str, later: float, sentence: str):
    with pytest.raises(TokenUseless, match=sentence):
        join(text or token, later=later)

    assert not NodeIdentity.objects.exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"check_key": "abc"}, "public key"),
        ({"seal_key": "ff"}, "public key"),
        ({"version": 2}, "upgrade the control plane first"),
        ({"version": 0}, "upgrade the machine first"),
        ({"name": "N_2"}, "no name for a node"),
        ({"name": "join-tokens"}, "no name for a node"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_a_machine_that_makes_no_sense_is_told_why_and_the_token_stays_good(
    token: str, fields: dict[str, object], sentence: str
):
    with pytest.raises(CannotJoin, match=sentence):
        join(token, a_machine(**{"name": "n2", **fields}))

    assert join(token)


@pytest.mark.parametrize(("state", "taken"), [(NodeState.READY, True), (NodeState.SUSPECT, False)])
def test_a_name_is_taken_while_its_node_is_heard(token: str, state: NodeState, taken: bool):
    Node.objects.create(name="n2", state=state, joined_at=timezone.now(), seen_at=timezone.now())

    if taken:
        sentence = r"n2 is there and was heard 0 s ago.*--name.*wait 15 seconds.*good until \d\d:"
        with pytest.raises(NameTaken, match=sentence):
            join(token)
    assert join(token, a_machine("n3" if taken else "n2"))


def test_a_broker_that_is_away_costs_no_token(token: str, settings):
    url, settings.REDIS_URL = settings.REDIS_URL, "redis://127.0.0.1:1/0"
    broker_users.client.cache_clear()
    with pytest.raises(broker_users.BrokerAway):
        join(token)

    settings.REDIS_URL = url
    broker_users.client.cache_clear()
    assert join(token)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="two connections cannot write in memory")
@pytest.mark.django_db(transaction=True)
def test_of_two_machines_at_once_one_gets_in(token: str):
    said: list[str] = []
    line = threading.Barrier(4)

    def come(name: str) -> None:
        line.wait()
        try:
            join(token, a_machine(name))
            said.append("in")
        except TokenUseless:
            said.append("out")
        finally:
            connection.close()

    threads = [threading.Thread(target=come, args=(f"n{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(said) == ["in", "out", "out", "out"]
    assert NodeIdentity.objects.count() == 1


def test_a_node_of_this_machine_needs_no_token_and_keeps_its_keys(tmp_path: Path):
    def enrolled() -> Identity:
        joining.enrol_here("n1", tmp_path, now=timezone.now())
        return Identity.load(path_in(tmp_path, "n1"))

    first = enrolled()

    assert enrolled() == first
    assert path_in(tmp_path, "n1").stat().st_mode & 0o777 == 0o600
    assert NodeIdentity.objects.get().check_key == first.keys.public[0]


@pytest.mark.parametrize("damage", ["{", "{}", '{"keys": {}}', "[]"])
def test_a_damaged_identity_is_made_anew(tmp_path: Path, damage: str):
    path = path_in(tmp_path, "n1")
    joining.enrol_here("n1", tmp_path, now=timezone.now())
    path.write_text(damage)

    joining.enrol_here("n1", tmp_path, now=timezone.now())

    assert Identity.load(path).keys.public[0] == NodeIdentity.objects.get().check_key


def test_an_identity_of_before_is_no_longer_good_after_somebody_joined_under_its_name(
    tmp_path: Path, token: str
):
    joining.enrol_here("n2", tmp_path, now=timezone.now())
    join(token)

    joining.enrol_here("n2", tmp_path, now=timezone.now())

    known = Identity.load(path_in(tmp_path, "n2"))
    assert known.keys.public[0] == NodeIdentity.objects.get().check_key

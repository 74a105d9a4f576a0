"""A node's own login at a real broker: enough for its work, and for nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.utils import timezone

from orchestrator.models import NodeIdentity
from orchestrator.operations import broker_users, joining
from orchestrator.operations.broker_users import NoOwnLogins
from tests import broker as brokers
from tests.conftest import require_or_skip
from worker.identity import Identity, path_in

FOREIGN = [
    "BRPOP node.n2 1",
    "LLEN node.n2",
    "LPUSH node.n2 x",
    "LPUSH node.n12 x",
    "BRPOP control 1",
    "LLEN control",
    "DEL control",
    "EXPIRE control 0",
    "SET control x",
    "RPUSH control x",
    "HGET unacked:n2 t",
    "HGET unacked:control t",
    "XADD logs:n2.abc * text x",
    "SET commands:n2.abc:taken 1",
    "GET commands:n2.abc:wanted",
    "SMEMBERS _kombu.binding.node.n2",
    "EVAL return(1) 1 node.n2",
    "XREAD STREAMS logs:n1.abc 0",
]
DANGEROUS = [
    "FLUSHALL",
    "FLUSHDB",
    "KEYS *",
    "SCAN 0",
    "RANDOMKEY",
    "CONFIG GET *",
    "ACL LIST",
    "ACL WHOAMI",
    "CLIENT LIST",
    "CLIENT KILL TYPE normal",
    "SCRIPT FLUSH",
    "SHUTDOWN",
    "MONITOR",
    "SAVE",
    "REPLICAOF 127.0.0.1 1",
    "MIGRATE 127.0.0.1 1 node.n1 0 10",
    "PUBLISH kijabi:changes x",
    "SUBSCRIBE kijabi:changes",
    "RENAME node.n1 node.n2",
    "MOVE node.n1 1",
    "MODULE LIST",
    "FUNCTION LIST",
    "EVAL return(redis.call('keys','*')) 0",
    "EVAL return(redis.call('llen','node.n2')) 0",
]
OWN = [
    "LPUSH node.n1 x",
    "BRPOP node.n1 node.n1\x06\x163 1",
    "LPUSH control x",
    "HSET unacked:n1 t x",
    "ZADD unacked_index:n1 1 t",
    "SADD _kombu.binding.node.n1 x",
    "XADD logs:n1.abc * text x",
    "EXPIRE logs:n1.abc 60",
    "EXISTS logs:n1.abc:wanted",
    "SET commands:n1.abc:taken 1 NX EX 5",
    "PING",
]


@pytest.fixture(scope="module", params=["redis-server", "the bundled one"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker with all rights."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "redis-server" and not shutil.which("redis-server"):
            require_or_skip("redis", "redis-server is not installed here")
        if request.param != "redis-server":
            patch.setattr("orchestrator.launch.broker.shutil.which", lambda _: None)
        with brokers.running(tmp_path_factory.mktemp("broker")) as found:
            yield found


@pytest.fixture
def everything(db, settings, url: str) -> Iterator[redis.Redis]:
    settings.REDIS_URL = url
    broker_users.client.cache_clear()
    with redis.Redis.from_url(url) as client:
        client.flushall()
        yield client
        client.execute_command("ACL", "DELUSER", "node-n1")
    broker_users.client.cache_clear()


@pytest.fixture
def own(everything: redis.Redis, tmp_path: Path) -> Iterator[redis.Redis]:
    """The broker as the node sees it."""
    with redis.Redis.from_url(login_of(tmp_path)) as client:
        yield client


def login_of(home: Path, name: str = "n1") -> str:
    joining.enrol_here(name, home, now=timezone.now())
    return Identity.load(path_in(home, name)).broker


@pytest.mark.parametrize("command", [*FOREIGN, *DANGEROUS])
def test_a_node_cannot(own: redis.Redis, command: str):
    with pytest.raises(redis.ResponseError, match=r"(?i)permission|ACL failure|can't (run|access)"):
        own.execute_command(*command.split(" "))


@pytest.mark.parametrize("command", OWN)
def test_a_node_can(own: redis.Redis, everything: redis.Redis, command: str):
    everything.rpush("node.n1", "first")

    own.execute_command(*command.split(" "))


def test_without_its_password_nobody_is_let_in(own: redis.Redis, url: str):
    own.ping()
    stranger = url.replace("redis://:", "redis://node-n1:")

    with (
        pytest.raises(redis.AuthenticationError),
        redis.Redis.from_url(stranger) as client,
    ):
        client.ping()


def test_logins_that_the_broker_lost_come_back(own: redis.Redis, everything: redis.Redis):
    assert broker_users.restore() == 0
    everything.execute_command("ACL", "DELUSER", "node-n1")

    assert broker_users.restore() == 1

    assert own.ping()
    assert broker_users.restore() == 0


def test_rights_of_an_earlier_release_are_renewed_at_the_start(
    own: redis.Redis, everything: redis.Redis
):
    everything.execute_command("ACL", "SETUSER", "node-n1", "-brpop")

    assert broker_users.restore(everybody=True) == 1

    assert own.execute_command("BRPOP", "node.n1", "0.01") is None


def test_a_login_with_another_password_is_put_right(own: redis.Redis, everything: redis.Redis):
    everything.execute_command("ACL", "SETUSER", "node-n1", "resetpass", ">other")

    assert broker_users.restore() == 1

    assert own.ping()


def test_who_joins_under_a_name_shows_the_one_before_out(own: redis.Redis):
    own.ping()
    broker_users.make("n1", "")

    with pytest.raises((redis.AuthenticationError, redis.ConnectionError)):
        own.ping()


def test_a_broker_that_lets_us_make_no_logins_is_named_with_what_to_do(
    everything: redis.Redis, settings, url: str, tmp_path: Path
):
    rules = ("on", ">pw", "~*", "&*", "+@all", "-acl")
    everything.execute_command("ACL", "SETUSER", "poor", "reset", *rules)
    settings.REDIS_URL = url.replace(url.split("://")[1].split("@", maxsplit=1)[0], "poor:pw")
    broker_users.client.cache_clear()

    with pytest.raises(NoOwnLogins, match="KIJABI_SHARED_BROKER_LOGIN=1"):
        login_of(tmp_path)

    settings.SHARED_BROKER_LOGIN = True
    assert login_of(tmp_path) == settings.REDIS_URL
    assert NodeIdentity.objects.get().broker_digest == ""
    assert broker_users.restore() == 0


@pytest.mark.parametrize(
    ("ours", "for_nodes", "asked", "host"),
    [
        pytest.param("redis://:p@127.0.0.1:7/0", "", "10.0.0.1", "10.0.0.1:7", id="embedded"),
        pytest.param("redis://:p@127.0.0.1:7/0", "", "localhost", "127.0.0.1:7", id="same machine"),
        pytest.param("redis://:p@127.0.0.1:7/0", "", "fd00::1", "[fd00::1]:7", id="IPv6"),
        pytest.param("redis://:p@redis:7/0", "", "10.0.0.1", "redis:7", id="one of its own"),
        pytest.param(
            "redis://:p@redis:7/0", "rediss://r.example:8/1", "10.0.0.1", "r.example:8", id="told"
        ),
    ],
)
def test_where_a_node_finds_the_broker(settings, ours: str, for_nodes: str, asked: str, host: str):
    settings.REDIS_URL, settings.NODE_BROKER = ours, for_nodes

    assert f"@{host}/" in broker_users._address(asked, "node-n1:pw@")
    assert f":p@{host}/" in broker_users._address(asked, "")


def test_a_broker_without_the_command_is_named_without_what_it_was_sent():
    said = "unknown command 'ACL', with args beginning with: 'SETUSER' 'node-n1' '#5ecre7"

    message = str(broker_users.NoOwnLogins(said))

    assert "(unknown command 'ACL')" in message
    assert "5ecre7" not in message

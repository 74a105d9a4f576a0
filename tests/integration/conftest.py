from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from django.contrib.auth.models import Group, User
from django.utils import timezone, translation
from rest_framework.test import APIClient

from orchestrator.models import Replica
from orchestrator.operations import namespaces, tokens, transport
from orchestrator.operations.accounts import Role
from tests import broker
from tests import cluster as clusters
from worker import protocol
from worker.log_stream import LogStreams


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """A page asked for in Korean leaves its language to the thread."""
    with translation.override(None):
        yield


@pytest.fixture(scope="module")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that no other module uses."""
    with broker.running(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture
def replica(cluster: clusters.Cluster) -> Replica:
    """The only replica there is."""
    cluster.apply(clusters.manifest(replicas=1))
    return cluster.live()[0]


@pytest.fixture
def cluster(transactional_db: None, tmp_path: Path) -> Iterator[clusters.Cluster]:
    with clusters.running(tmp_path) as running:
        yield running


@pytest.fixture
def container(cluster: clusters.Cluster, replica: Replica) -> str:
    """The replica's container, which has said three lines."""
    name = cluster.container_of(replica)
    for number in range(3):
        cluster.runtime.print_line(name, f"line {number}")
    return name


@pytest.fixture
def logs_of_node(
    cluster: clusters.Cluster, broker_url: str, settings, monkeypatch
) -> Iterator[None]:
    """The node's own log streams, reached without Celery."""
    settings.REDIS_URL = broker_url
    connections: list[redis.Redis] = []

    def connect() -> redis.Redis:
        connections.append(redis.Redis.from_url(broker_url))
        return connections[-1]

    streams = LogStreams(cluster.node.agent, connect)

    def publish(task: str, queue: str, arguments: dict) -> bool:
        assert (task, queue) == (protocol.STREAM_LOGS_TASK, "node.n1")
        streams.begin(protocol.from_wire(protocol.LogRequest, arguments["request"]))
        return True

    monkeypatch.setattr("orchestrator.operations.log_requests.publish", publish)
    monkeypatch.setattr("worker.log_stream.WANTED_CHECK_SECONDS", 0.05)
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("logs"):
            thread.join(10)
    for connection in connections:
        connection.close()


@pytest.fixture
def sent(db: None, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, dict[str, object]]]:
    """What was published, by a broker that takes everything."""
    taken: list[tuple[str, str, dict[str, object]]] = []

    def publish(task: str, queue: str, arguments: dict[str, object]) -> bool:
        taken.append((task, queue, arguments))
        return True

    for module in ("commands", "dispatch", "log_requests"):
        monkeypatch.setattr(f"orchestrator.operations.{module}.publish", publish)
    namespaces.ensure("default", clusters.change())
    return taken


@pytest.fixture
def broker_down(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    namespaces.ensure("default", clusters.change())
    assert not transport.publish("orchestrator.sweep", "control", {})


@pytest.fixture(autouse=True)
def _quick_passwords(settings) -> None:
    """Hashing is slow on purpose, and tests hash a lot."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def plain_static_files(settings) -> None:
    """Pages that name static files without those having been collected."""
    storage = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}


def client_of(role: Role | None) -> APIClient:
    """Return a client with a fresh token of a user with this role (None: a user without any)."""
    name = role or "nobody"
    user, _ = User.objects.get_or_create(username=name)
    if role is not None:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    token = tokens.make_endless(user, "test", now=timezone.now())
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


@pytest.fixture
def api(sent: list[object]) -> APIClient:
    return client_of(Role.ADMIN)

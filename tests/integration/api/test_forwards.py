"""Forwarded connections: bytes both ways through a real broker, their ends, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import redis
from asgiref.sync import async_to_sync
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient

from orchestrator.models import Event, Replica
from orchestrator.operations.accounts import Role
from tests.cluster import Cluster
from tests.integration.conftest import client_of
from tests.sandboxes import wait_for
from worker import forwarding
from worker.forwarding import Forwards
from worker.protocol import ForwardRequest, ReplicaUid

Answer = HttpResponse | StreamingHttpResponse


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which somebody says in capitals what they are told, until nothing more comes."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=shout, args=(connection,), daemon=True).start()

    def shout(connection: socket.socket) -> None:
        with connection:
            while piece := connection.recv(65536):
                connection.sendall(piece.upper())
            connection.sendall(b"BYE")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@pytest.fixture
def broker(cluster: Cluster, broker_url: str, settings, monkeypatch) -> Iterator[redis.Redis]:
    """The broker is there for both sides; task messages need none."""
    settings.REDIS_URL = broker_url
    monkeypatch.setattr(forwarding, "WAIT_SECONDS", 0.1)
    cluster.node.forwards = Forwards(cluster.node.agent, lambda: redis.Redis.from_url(broker_url))
    with redis.Redis.from_url(broker_url) as connection:
        connection.flushall()
        yield connection
    cluster.node.forwards.close()


class Person:
    """Somebody with a token, and the addresses of a replica."""

    def __init__(self, uid: str, role: Role = Role.OPERATOR) -> None:
        self._headers = {"Authorization": client_of(role)._credentials["HTTP_AUTHORIZATION"]}
        self._path = f"/api/v1/replicas/{uid}/forward/"

    async def open(self, port: object, **headers: str) -> Answer:
        return await AsyncClient().post(
            self._path,
            json.dumps({"port": port}),
            content_type="application/json",
            headers={**self._headers, **headers},
        )

    async def send(self, name: str, data: bytes, *, end: bool = False) -> int:
        query = f"?connection={name}" + ("&end=true" if end else "")
        answer = await AsyncClient().post(
            f"{self._path}send/{query}",
            data,
            content_type="application/octet-stream",
            headers=self._headers,
        )
        return answer.status_code


def play(scene: Callable[[], Awaitable[object]]) -> object:
    return async_to_sync(scene)()


async def read(pieces: AsyncIterator[bytes], wanted: int) -> bytes:
    found = b""
    while len(found) < wanted:
        found += await anext(pieces)
    return found


def test_bytes_go_both_ways_until_the_end(replica: Replica, broker: redis.Redis, port: int):
    person = Person(replica.uid)

    async def scene() -> tuple[bytes, bytes]:
        answer = await person.open(port)
        name, pieces = answer["Kijabi-Connection"], aiter(answer.streaming_content)
        assert await person.send(name, b"one ") == 204
        first = await read(pieces, 4)
        assert await person.send(name, b"two", end=True) == 204
        return first, b"".join([piece async for piece in pieces])

    assert play(scene) == (b"ONE ", b"TWOBYE")
    assert broker.keys("forwards:*") == []


def test_much_comes_whole_and_in_order(replica: Replica, broker: redis.Redis, port: int):
    person = Person(replica.uid)
    pieces_sent = [bytes([97 + number % 26]) * 200_000 for number in range(40)]

    async def scene() -> bytes:
        answer = await person.open(port)
        name = answer["Kijabi-Connection"]

        async def send_all() -> None:
            for number, piece in enumerate(pieces_sent):
                end = number == len(pieces_sent) - 1
                assert await person.send(name, piece, end=end) == 204

        sending = asyncio.create_task(send_all())
        found = b"".join([piece async for piece in answer.streaming_content])
        await sending
        return found

    assert play(scene) == b"".join(pieces_sent).upper() + b"BYE"


def test_a_replica_that_takes_nothing_for_a_while_gets_all_of_it(
    replica: Replica, broker: redis.Redis
):
    person = Person(replica.uid)
    pieces_sent = [bytes([97 + number % 26]) * 200_000 for number in range(40)]
    got: list[bytes] = []

    def take_slowly() -> None:
        connection, _ = listener.accept()
        with connection:
            time.sleep(10 * forwarding.WAIT_SECONDS)
            while piece := connection.recv(65536):
                got.append(piece)
            connection.sendall(b"ALL")

    async def scene() -> bytes:
        answer = await person.open(listener.getsockname()[1])
        name = answer["Kijabi-Connection"]
        for number, piece in enumerate(pieces_sent):
            assert await person.send(name, piece, end=number == len(pieces_sent) - 1) == 204
        return b"".join([piece async for piece in answer.streaming_content])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        taking = threading.Thread(target=take_slowly, daemon=True)
        taking.start()
        heard = play(scene)
        taking.join(10)

    assert heard == b"ALL"
    assert b"".join(got) == b"".join(pieces_sent)


def test_a_replica_that_takes_nothing_is_left_when_nobody_wants_it_any_more(
    cluster: Cluster, replica: Replica, broker: redis.Redis
):
    broker.set("forwards:f1:wanted", "1")
    broker.lpush("forwards:f1:in", *[b"d" + b"x" * 200_000] * 40)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        cluster.node.forwards.begin(
            ForwardRequest(uid="f1", replica=ReplicaUid(replica.uid), port=port)
        )
        connection, _ = listener.accept()
        with connection:
            wait_for(lambda: broker.llen("forwards:f1:in") < 40)
            running = list(cluster.node.forwards._running)
            broker.delete("forwards:f1:wanted")
            wait_for(lambda: not cluster.node.forwards._running)

    assert len(running) == 1


def test_a_port_nobody_listens_on_is_told(replica: Replica, broker: redis.Redis):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free = listener.getsockname()[1]

    person = Person(replica.uid)

    async def scene() -> Answer:
        return await person.open(free)

    answer = play(scene)
    assert answer.status_code == 502
    assert answer.json()["detail"] == (
        f"nothing takes connections on port {free} of replica {replica.uid} (Connection refused)"
    )


@pytest.mark.parametrize("port", [0, 65536, "http", None, -1])
def test_a_port_that_is_none_is_refused(replica: Replica, port: object):
    person = Person(replica.uid)

    async def scene() -> Answer:
        return await person.open(port)

    assert play(scene).status_code == 400


def test_an_unknown_replica_is_refused(cluster: Cluster):
    person = Person("none")

    async def scene() -> Answer:
        return await person.open(80)

    assert play(scene).status_code == 404


def test_nobody_sends_into_a_connection_of_somebody_else(
    replica: Replica, broker: redis.Redis, port: int
):
    owner, other = Person(replica.uid), Person(replica.uid, Role.ADMIN)

    async def scene() -> tuple[list[int], bytes]:
        answer = await owner.open(port)
        name = answer["Kijabi-Connection"]
        refused = [
            await other.send(name, b"x"),
            await owner.send(f"{name}x", b"x"),
            await owner.send("", b"x"),
        ]
        await owner.send(name, b"y", end=True)
        heard = b"".join([piece async for piece in answer.streaming_content])
        return refused, heard

    assert play(scene) == ([404, 404, 404], b"YBYE")


def test_a_reader_that_leaves_ends_it(replica: Replica, broker: redis.Redis, port: int):
    person = Person(replica.uid)

    async def begin() -> str:
        answer = await person.open(port)
        name = answer["Kijabi-Connection"]
        await person.send(name, b"one")
        pieces = aiter(answer.streaming_content)
        await read(pieces, 3)
        # As the server does when a client has gone. Who is only forgotten ends when memory is
        # looked through, which may be late.
        reading = asyncio.create_task(read(pieces, 1))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return name

    async def scene() -> int:
        name = await begin()
        async with asyncio.timeout(10):
            while (status := await person.send(name, b"two")) == 204:
                await asyncio.sleep(0.02)
        return status

    assert play(scene) == 404


def test_it_is_written_down_once_for_many_connections(
    replica: Replica, broker: redis.Redis, port: int
):
    person = Person(replica.uid)

    async def scene() -> None:
        for _ in range(2):
            answer = await person.open(port)
            await person.send(answer["Kijabi-Connection"], b"", end=True)
            async for _ in answer.streaming_content:
                pass

    play(scene)

    told = Event.objects.get(reason="PortForward")
    assert told.message == f"operator forwards connections to port {port} of replica {replica.uid}"
    assert told.node == "n1"


def test_a_silent_node_is_told(replica: Replica, broker: redis.Redis, monkeypatch):
    monkeypatch.setattr("orchestrator.operations.port_forwards.publish", lambda *_: True)
    monkeypatch.setattr("orchestrator.operations.port_forwards.FIRST_ANSWER_SECONDS", 0.2)

    person = Person(replica.uid)

    async def scene() -> Answer:
        return await person.open(80)

    answer = play(scene)
    assert (answer.status_code, answer.json()["title"]) == (504, "The node does not answer")
    assert broker.keys("forwards:*") == []


def test_without_a_broker_it_is_refused(replica: Replica, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    person = Person(replica.uid)

    async def scene() -> Answer:
        return await person.open(80)

    assert play(scene).status_code == 503

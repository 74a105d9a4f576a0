"""Requests wait at a door on real sockets: nobody is lost, and nobody waits for who has gone."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.backends import Backend
from worker.gateway.holding import End, Holding

ROUTE = "r1"


class Door:
    """A door of one route, and who serves behind it."""

    def __init__(self) -> None:
        self.ends: tuple[End, ...] = ()
        self.holding = Holding(lambda _route: self.ends)
        self.port = self.holding.hold({ROUTE: 20})[ROUTE]

    def open(self, *ends: End) -> None:
        self.ends = ends
        self.holding.hold({})

    def knock(self, path: str = "/") -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), 5)
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n".encode())
        return client

    def wait_for(self, look: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 5
        while not look():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.holding.close()


def end_of(server: Backend) -> End:
    return ("127.0.0.1", server.port)


def answer(client: socket.socket) -> tuple[int, str]:
    found = http.client.HTTPResponse(client)
    found.begin()
    return found.status, found.read().decode().strip()


def test_who_gives_up_waiting_is_waited_for_no_more(door: Door):
    knocks = threading.Event()
    client = door.knock()
    door.wait_for(lambda: door.holding.waiting() == {ROUTE})
    door.holding.knocked = knocks.set

    client.close()

    door.wait_for(lambda: door.holding.waiting() == frozenset())
    assert knocks.wait(5)


def test_a_request_given_up_reaches_nobody(door: Door, servers: list[Backend]):
    first = door.knock()
    door.wait_for(lambda: door.holding.waiting() == {ROUTE})
    first.close()
    door.wait_for(lambda: door.holding.waiting() == frozenset())
    with closing(door.knock()) as client:
        door.open(end_of(servers[0]))
        assert answer(client) == (200, "one")

    assert servers[0].requests == 1


def test_what_has_waited_is_somebodys_until_it_is_answered(door: Door, servers: list[Backend]):
    with closing(door.knock("/slow")) as client:
        door.open(end_of(servers[0]))
        servers[0].await_request()
        during = door.holding.under_way()

        assert answer(client) == (200, "one")
        door.wait_for(lambda: door.holding.under_way() == {})

    assert during == {end_of(servers[0]): 1}


def test_a_second_request_does_not_pass_by_the_connection_of_the_first(
    door: Door, servers: list[Backend]
):
    with closing(door.knock()) as client:
        door.open(end_of(servers[0]))
        answer(client)

        assert client.recv(1) == b""


def test_who_takes_no_connection_is_passed_over(door: Door, servers: list[Backend]):
    servers[0].close()
    with closing(door.knock()) as client, closing(door.knock()) as other:
        door.open(end_of(servers[0]), end_of(servers[1]))

        assert (answer(client), answer(other)) == ((200, "two"), (200, "two"))


def test_the_body_of_a_request_waits_as_well(door: Door):
    body = b"x" * 300_000
    with socket.create_server(("127.0.0.1", 0)) as server, closing(door.knock("/up")) as client:
        client.sendall(body)
        door.open(server.getsockname())
        taken, _ = server.accept()
        with closing(taken):
            taken.settimeout(5)
            client.shutdown(socket.SHUT_WR)
            seen = b"".join(iter(lambda: taken.recv(65536), b""))

    head = b"GET /up HTTP/1.1\r\nConnection: close\r\nHost: a.example\r\n\r\n"
    assert seen == head + body


def test_a_crowd_is_let_in_together(door: Door, servers: list[Backend]):
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(door.knock())) for _ in range(300)]
        door.open(end_of(servers[0]))

        assert {answer(client) for client in clients} == {(200, "one")}

"""The generator of load calls every kind of failure by its name, and hides no waiting."""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from contextlib import closing, suppress

import pytest

from tests import open_load
from tests.open_load import Client, Outcome, Way

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(*answers: bytes) -> Serve:
    """Return a server that answers so on each connection, one request after the other."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError), closing(writer):
            for answer in answers:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(answer)

    return serve


async def resetting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    plug = writer.get_extra_info("socket")
    # To linger for no time is to reset.
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


def asked(serve: Serve, times: int = 1, **fields: object) -> list[Outcome]:
    """Return what becomes of requests to a server, sent one after the other."""

    async def run() -> list[Outcome]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            way = Way(name="w", address="127.0.0.1", port=port, **fields)
            client = Client(way, timeout_seconds=1.0)
            found = []
            for _ in range(times):
                found.append(await client.ask(time.monotonic()))
                # A connection that the server has closed is known to be closed by the next turn.
                await asyncio.sleep(0.02)
            client.close()
            await asyncio.sleep(0.02)
            return found

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("serve", "fault"),
    [
        pytest.param(saying(GOOD), "", id="a-full-answer"),
        pytest.param(saying(GOOD.replace(b"200 OK", b"502 Bad")), "status 502", id="a-bad-status"),
        pytest.param(saying(GOOD[:-1]), "short body", id="a-body-that-ends-early"),
        pytest.param(saying(GOOD[:20]), "short head", id="a-head-that-ends-early"),
        pytest.param(saying(GOOD.replace(b"hello", b"jello")), "wrong body", id="another-body"),
        pytest.param(saying(b"?\r\n\r\n"), "no HTTP", id="something-else-than-an-answer"),
        pytest.param(saying(b""), "closed", id="a-connection-closed-without-an-answer"),
        pytest.param(resetting, "reset", id="a-connection-that-is-reset"),
        pytest.param(silent, "timeout", id="no-answer-in-time"),
    ],
)
def test_a_failure_is_called_by_its_name(serve: Serve, fault: str):
    (outcome,) = asked(serve)

    assert outcome.fault == fault


def test_a_port_where_nobody_listens_refuses():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = Client(Way(name="w", address="127.0.0.1", port=port), timeout_seconds=1.0)

    outcome = asyncio.run(client.ask(time.monotonic()))

    assert outcome.fault == "refused"


def test_a_connection_is_kept_only_by_those_who_keep_it():
    connections: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await saying(GOOD, GOOD, GOOD)(reader, writer)

    asked(serve, 3, keeps=True, connections=1)
    kept = len(connections)
    asked(serve, 3)

    assert (kept, len(connections) - kept) == (1, 3)


def test_a_connection_is_given_up_when_it_is_old_or_closed_in_time():
    once = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    ways = [(saying(GOOD, GOOD), 0.01), (saying(GOOD), 0), (saying(once, GOOD), 0)]

    for serve, life in ways:
        outcomes = asked(serve, 3, keeps=True, connections=1, life_seconds=life)
        assert [one.fault for one in outcomes] == ["", "", ""]


def test_a_request_that_meets_the_end_of_a_kept_connection_has_failed():
    outcomes = asked(saying(GOOD, b""), 2, keeps=True, connections=1)

    assert [one.fault for one in outcomes] == ["", "closed"]


def test_requests_come_at_their_rate_while_earlier_ones_wait():
    free = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await free.wait()
        writer.write(GOOD)
        writer.close()

    async def run() -> list[Outcome]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            way = Way(name="w", address="127.0.0.1", port=server.sockets[0].getsockname()[1])
            end = asyncio.Event()
            found: list[Outcome] = []
            task = asyncio.create_task(open_load.offer([way], 100, end, found.append))
            await asyncio.sleep(0.3)
            end.set()
            free.set()
            await task
            return found

    outcomes = sorted(asyncio.run(run()), key=lambda one: one.due)

    assert 25 <= len(outcomes) <= 32
    assert {round(b.due - a.due, 4) for a, b in itertools.pairwise(outcomes)} == {0.01}
    assert outcomes[0].seconds > 0.29 > outcomes[-1].seconds
    assert not open_load.faults(outcomes)


def test_figures_count_what_failed():
    outcomes = [Outcome("w", n / 100, 0.001, "") for n in range(98)]
    outcomes += [Outcome("w", 2.0, 0.5, "reset"), Outcome("w", 3.0, 1.0, "timeout")]

    assert open_load.percentile(outcomes, 99) == 1.0
    assert open_load.percentile(outcomes, 50) == 0.001
    assert open_load.outage(outcomes) == 2.0
    assert open_load.outage(outcomes[:50]) == 0.0
    assert open_load.faults(outcomes) == {"w: reset": 1, "w: timeout": 1}


def test_a_process_of_its_own_sends_until_the_block_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        way = Way(name="w", address="127.0.0.1", port=server.getsockname()[1])
    before = time.monotonic()

    with open_load.running([way], 200) as load:
        load.await_more(20)
        load.await_more(20)

    assert open_load.faults(load.outcomes)["w: refused"] == len(load.outcomes) >= 40
    assert all(before < one.due < time.monotonic() for one in load.outcomes)

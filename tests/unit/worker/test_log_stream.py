"""Logs on their way to whoever asked, through a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.machine import NAME, START, Machine
from worker import log_stream
from worker.log_stream import LogStreams
from worker.protocol import LogRequest
from worker.runtimes.base import FailureReason, LogLine, RuntimeFailure

KEY = "logs:q1"
TAIL = LogRequest(uid="q1", replica="r1", tail=200)
FOLLOW = LogRequest(uid="q1", replica="r1", tail=200, follow=True)


@pytest.fixture
def streams(machine: Machine, broker_url: str) -> LogStreams:
    machine.do(START)
    return LogStreams(machine.agent, lambda: redis.Redis.from_url(broker_url))


def entries(broker: redis.Redis) -> list[dict[str, str]]:
    return [fields for _, fields in broker.xrange(KEY)]


def texts(broker: redis.Redis) -> list[str]:
    return [fields["text"] for fields in entries(broker) if "text" in fields]


def wait_for(look: Any, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


def end(broker: redis.Redis) -> dict[str, str]:
    return wait_for(lambda: next((e for e in entries(broker) if "end" in e), None))


def test_the_latest_lines_arrive_in_order_and_then_the_end(
    machine: Machine, streams: LogStreams, broker: redis.Redis
):
    for number in range(500):
        machine.runtime.print_line(NAME, f"line {number}")

    streams.begin(TAIL)

    assert end(broker) == {"end": "1", "error": ""}
    assert texts(broker) == [f"line {number}" for number in range(300, 500)]
    assert 0 < broker.ttl(KEY) <= 60


def test_following_passes_a_line_on_at_once(
    machine: Machine, streams: LogStreams, broker: redis.Redis
):
    broker.set(f"{KEY}:wanted", "1")
    streams.begin(FOLLOW)
    wait_for(lambda: entries(broker) == [{"begin": "1"}])

    machine.runtime.print_line(NAME, "late news")

    wait_for(lambda: texts(broker) == ["late news"], 1.0)
    machine.runtime.die(NAME, 0)
    assert end(broker)["error"] == ""


def test_following_ends_when_nobody_wants_it(
    streams: LogStreams, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_stream, "WANTED_CHECK_SECONDS", 0.05)
    broker.set(f"{KEY}:wanted", "1")
    streams.begin(FOLLOW)
    wait_for(lambda: entries(broker))
    time.sleep(0.2)
    assert len(entries(broker)) == 1, "it goes on while it is wanted"

    broker.delete(f"{KEY}:wanted")

    assert end(broker)["error"] == ""


def test_a_replica_that_is_not_here_is_told(streams: LogStreams, broker: redis.Redis):
    streams.begin(LogRequest(uid="q1", replica="r9"))

    assert end(broker)["error"] == "replica r9 is not on this node"


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine is away"), "the engine is away"),
        (ZeroDivisionError(), "the log could not be read; the node's own log says why"),
    ],
)
def test_trouble_on_the_way_ends_the_stream_with_a_sentence(
    machine: Machine,
    streams: LogStreams,
    broker: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    sentence: str,
):
    def broken(*_: object, **__: object) -> Iterator[LogLine]:
        yield LogLine(text="first")
        raise error

    monkeypatch.setattr(machine.runtime, "logs", broken)

    streams.begin(TAIL)

    assert end(broker)["error"] == sentence
    assert texts(broker) == ["first"]


def test_more_requests_than_it_can_serve_are_refused(
    machine: Machine, broker_url: str, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_stream, "MAX_STREAMS", 1)
    machine.do(START)
    streams = LogStreams(machine.agent, lambda: redis.Redis.from_url(broker_url))
    broker.set("logs:q0:wanted", "1")
    streams.begin(LogRequest(uid="q0", replica="r1", follow=True))

    streams.begin(TAIL)

    assert "already" in end(broker)["error"]
    machine.runtime.die(NAME, 0)


def test_a_flood_goes_in_few_calls(
    machine: Machine, streams: LogStreams, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
):
    calls: list[int] = []
    put = log_stream._put
    monkeypatch.setattr(log_stream, "_put", lambda *args: (calls.append(len(args) - 2), put(*args)))
    for number in range(5000):
        machine.runtime.print_line(NAME, str(number))

    streams.begin(LogRequest(uid="q1", replica="r1", tail=None))
    end(broker)

    assert len(texts(broker)) == 5000
    assert max(calls) <= log_stream.BATCH
    assert len(calls) < 500

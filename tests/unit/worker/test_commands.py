"""Commands people run in replicas: bounds, sentences, and their way through a real broker."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.machine import NAME, START, Machine
from worker import command_stream, commands, protocol
from worker.command_stream import CommandStreams
from worker.protocol import CommandRequest, MalformedMessage
from worker.runtimes.base import ExecResult, FailureReason, RuntimeFailure

KEY = "commands:q1"
ARGV = ("ls", "-l")
REQUEST = CommandRequest(uid="q1", replica="r1", argv=ARGV, timeout_seconds=1)


@pytest.fixture
def streams(machine: Machine, broker_url: str, broker: redis.Redis) -> Iterator[CommandStreams]:
    machine.do(START)
    broker.set(f"{KEY}:wanted", "1")
    made = CommandStreams(machine.agent, lambda: redis.Redis.from_url(broker_url))
    yield made
    made.close()


def entries(broker: redis.Redis) -> list[dict[str, str]]:
    return [fields for _, fields in broker.xrange(KEY)]


def wait_for(look: Any, seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


def end(broker: redis.Redis) -> tuple[str, str | None, str]:
    """Return outcome, exit code and sentence."""
    last = wait_for(lambda: next((e for e in entries(broker) if "end" in e), None))
    return last["outcome"], last.get("exit_code"), last["message"]


def texts(broker: redis.Redis) -> list[tuple[str, str]]:
    return [(e["stream"], e["text"]) for e in entries(broker) if "text" in e]


def test_a_request_survives_the_wire():
    assert protocol.from_wire(CommandRequest, protocol.to_wire(REQUEST)) == REQUEST
    with pytest.raises(MalformedMessage):
        protocol.from_wire(CommandRequest, {"uid": "q1", "replica": "r1", "argv": "ls"})


def test_output_arrives_and_then_the_end(
    machine: Machine, streams: CommandStreams, broker: redis.Redis
):
    machine.runtime.exec_pieces[ARGV] = [("stdout", b"one\n"), ("stderr", b"two\n")]
    machine.runtime.exec_results[ARGV] = ExecResult(exit_code=3, output="")

    streams.begin(REQUEST)

    assert end(broker) == ("exited", "3", "it exited with code 3")
    assert entries(broker)[0] == {"begin": "1"}
    assert texts(broker) == [("stdout", "one\n"), ("stderr", "two\n")]
    assert 0 < broker.ttl(KEY) <= 300


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (0, "it exited with code 0"),
        (126, "it exited with code 126 (it cannot be executed)"),
        (127, "it exited with code 127 (a command was not found)"),
        (137, "it exited with code 137 (killed by SIGKILL)"),
        (255, "it exited with code 255"),
    ],
)
def test_an_exit_code_is_explained(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, code: int, sentence: str
):
    machine.runtime.exec_results[ARGV] = ExecResult(exit_code=code, output="")

    streams.begin(REQUEST)

    assert end(broker) == ("exited", str(code), sentence)


def test_an_unknown_command_is_told(machine: Machine, streams: CommandStreams, broker: redis.Redis):
    machine.runtime.faults.unknown_commands.add("ls")

    streams.begin(REQUEST)

    assert end(broker)[:2] == ("exited", "127")
    assert texts(broker) == [("stderr", "ls: No such file or directory\n")]


def test_a_command_that_takes_too_long_is_killed(
    machine: Machine, streams: CommandStreams, broker: redis.Redis
):
    machine.runtime.faults.hanging_commands.add(ARGV)

    streams.begin(REQUEST)

    sentence = "it took longer than 1 s; the command was killed"
    assert end(broker) == ("timed-out", None, sentence)


def test_what_could_not_be_killed_is_told(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, monkeypatch
):
    machine.runtime.faults.hanging_commands.add(ARGV)
    given_up = commands.ExecResult(
        exit_code=124, output="", end=commands.ExecEnd.TIMED_OUT, left="process 5 runs on"
    )
    monkeypatch.setattr(machine.runtime, "exec", lambda *_, **__: given_up)

    streams.begin(REQUEST)

    assert end(broker)[2] == "it took longer than 1 s, but process 5 runs on"


def test_endless_output_is_cut(machine: Machine, streams: CommandStreams, broker: redis.Redis):
    piece = ("stdout", "ä".encode() * 999)
    machine.runtime.exec_pieces[ARGV] = itertools.repeat(piece)

    streams.begin(REQUEST)

    sentence = "its output is longer than 1 MiB and was cut; the command was killed"
    assert end(broker) == ("cut", None, sentence)
    shown = sum(len(text.encode()) for _, text in texts(broker))
    assert 1024 * 1024 - 2 <= shown <= 1024 * 1024 + 3


def test_output_of_exactly_the_limit_is_whole(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, monkeypatch
):
    monkeypatch.setattr(commands, "MAX_OUTPUT_BYTES", 8)
    machine.runtime.exec_pieces[ARGV] = [("stdout", b"1234"), ("stderr", b"5678")]

    streams.begin(REQUEST)

    assert end(broker)[0] == "exited"
    assert texts(broker) == [("stdout", "1234"), ("stderr", "5678")]


def test_a_character_in_two_pieces_stays_whole(
    machine: Machine, streams: CommandStreams, broker: redis.Redis
):
    machine.runtime.exec_pieces[ARGV] = [
        ("stdout", b"k\xc3"),
        ("stderr", b"\xff!"),
        ("stdout", b"\xa4se\xc3"),
    ]

    streams.begin(REQUEST)

    end(broker)
    whole = {
        name: "".join(t for s, t in texts(broker) if s == name) for name in ("stdout", "stderr")
    }
    assert whole == {"stdout": "käse\ufffd", "stderr": "\ufffd!"}


def test_it_is_killed_when_nobody_wants_it(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, monkeypatch
):
    monkeypatch.setattr(command_stream, "WANTED_CHECK_SECONDS", 0.05)
    machine.runtime.faults.hanging_commands.add(ARGV)
    streams.begin(CommandRequest(uid="q1", replica="r1", argv=ARGV, timeout_seconds=60))
    wait_for(lambda: entries(broker))
    time.sleep(0.2)
    assert len(entries(broker)) == 1, "it goes on while it is wanted"

    broker.delete(f"{KEY}:wanted")

    assert end(broker)[0] == "abandoned"


def test_a_silent_command_is_known_to_run(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, monkeypatch
):
    monkeypatch.setattr(command_stream, "WANTED_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(command_stream, "BEAT_SECONDS", 0.05)
    machine.runtime.faults.hanging_commands.add(ARGV)

    streams.begin(REQUEST)

    wait_for(lambda: entries(broker).count({"beat": "1"}) > 1, 1.0)


def test_a_request_is_served_once(machine: Machine, streams: CommandStreams, broker: redis.Redis):
    streams.begin(REQUEST)
    end(broker)
    before = entries(broker)

    streams.begin(REQUEST)
    streams.close()

    assert entries(broker) == before


def test_a_request_nobody_waits_for_is_not_served(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, monkeypatch
):
    ran = []
    monkeypatch.setattr(machine.runtime, "exec", lambda *_, **__: ran.append(1))
    broker.delete(f"{KEY}:wanted")

    streams.begin(REQUEST)
    wait_for(lambda: broker.exists(f"{KEY}:taken"))
    streams.close()

    assert (entries(broker), ran) == ([], [])


def test_a_replica_that_is_not_here_is_told(streams: CommandStreams, broker: redis.Redis):
    streams.begin(CommandRequest(uid="q1", replica="r9", argv=ARGV))

    assert end(broker) == ("failed", None, "replica r9 is not on this node")


def test_a_replica_that_does_not_run_is_told(
    machine: Machine, streams: CommandStreams, broker: redis.Redis
):
    machine.runtime.die(NAME, 1)

    streams.begin(REQUEST)

    assert end(broker) == ("failed", None, "replica r1 is not running")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine is away"), "the engine is away"),
        (ZeroDivisionError(), "the command could not be run; the node's own log says why"),
    ],
)
def test_trouble_is_one_sentence(
    machine: Machine, streams: CommandStreams, broker: redis.Redis, monkeypatch, error, sentence
):
    def broken(*_: object, **__: object) -> ExecResult:
        raise error

    monkeypatch.setattr(machine.runtime, "exec", broken)

    streams.begin(REQUEST)

    assert end(broker) == ("failed", None, sentence)


def test_more_than_it_can_run_are_refused(
    machine: Machine, broker_url: str, broker: redis.Redis, monkeypatch
):
    monkeypatch.setattr(command_stream, "MAX_RUNS", 1)
    machine.do(START)
    machine.runtime.faults.hanging_commands.add(ARGV)
    streams = CommandStreams(machine.agent, lambda: redis.Redis.from_url(broker_url))
    broker.set("commands:q0:wanted", "1")
    streams.begin(CommandRequest(uid="q0", replica="r1", argv=ARGV))

    streams.begin(REQUEST)

    assert end(broker) == ("failed", None, "this node runs 1 commands already")
    streams.close()


def test_an_ending_agent_kills_what_it_runs(
    machine: Machine, streams: CommandStreams, broker: redis.Redis
):
    machine.runtime.faults.hanging_commands.add(ARGV)
    streams.begin(CommandRequest(uid="q1", replica="r1", argv=ARGV, timeout_seconds=60))
    wait_for(lambda: entries(broker))

    streams.close()

    assert end(broker)[0] == "abandoned"

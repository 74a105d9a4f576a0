"""What every runtime promises of commands run in a container; the pretended one as the real."""

from __future__ import annotations

import itertools
import threading
import time
import uuid

import pytest

from tests.contract.conftest import World, wait_for
from tests.sandboxes import processes_with
from worker.runtimes.base import (
    ContainerState,
    ExecEnd,
    ExecResult,
    FailureReason,
    OutputCallback,
    RuntimeFailure,
)


def test_exec_tells_code_and_output(world: World):
    info = world.runtime.start(world.spec())
    if world.kind == "memory":
        world.runtime.exec_results["sh", "-c", "echo hello; exit 4"] = ExecResult(
            exit_code=4, output="hello\n"
        )

    result = world.runtime.exec(info.name, ("sh", "-c", "echo hello; exit 4"), 10)

    assert (result.exit_code, result.output.strip()) == (4, "hello")


def test_exec_passes_both_streams_on(world: World):
    command = ("sh", "-c", "echo good; echo bad >&2; exit 4")
    info = world.runtime.start(world.spec())
    if world.kind == "memory":
        world.runtime.exec_pieces[command] = [("stdout", b"good\n"), ("stderr", b"bad\n")]
        world.runtime.exec_results[command] = ExecResult(exit_code=4, output="")
    got = {"stdout": b"", "stderr": b""}

    result = world.runtime.exec(info.name, command, 10, take=into(got))

    assert got == {"stdout": b"good\n", "stderr": b"bad\n"}
    assert (result.exit_code, result.end) == (4, ExecEnd.EXITED)
    assert {"good", "bad"} == set(result.output.split())


def into(got: dict[str, bytes]) -> OutputCallback:
    def take(stream: str, data: bytes) -> None:
        got[stream] += data

    return take


def test_exec_passes_output_on_before_the_end(world: World):
    command = ("sh", "-c", "echo early; sleep 300")
    info = world.runtime.start(world.spec())
    if world.kind == "memory":
        world.runtime.exec_pieces[command] = [("stdout", b"early\n")]
        world.runtime.faults.hanging_commands.add(command)
    stop, seen = threading.Event(), []

    def take(stream: str, data: bytes) -> None:
        seen.append((stream, data))
        stop.set()

    result = world.runtime.exec(info.name, command, 30, take=take, stop=stop)

    assert seen == [("stdout", b"early\n")]
    assert (result.end, result.exit_code, result.left) == (ExecEnd.STOPPED, 137, "")


def test_exec_of_an_unknown_command_says_so(world: World):
    info = world.runtime.start(world.spec())
    if world.kind == "memory":
        world.runtime.faults.unknown_commands.add("no-such-program")
    got = {"stdout": b"", "stderr": b""}

    result = world.runtime.exec(info.name, ("no-such-program",), 10, take=into(got))

    assert (result.exit_code, result.end, got["stdout"]) == (127, ExecEnd.EXITED, b"")
    assert b"no-such-program" in got["stderr"]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("sleep {0}", id="alone"),
        pytest.param("sleep {0} & sleep {0}", id="with a child"),
        pytest.param("trap '' TERM; (sleep {0} &); sleep {0}", id="with an orphan"),
        pytest.param("exec >&- 2>&-; sleep {0}", id="silent"),
    ],
)
def test_exec_gives_up_in_time_and_kills(world: World, script: str):
    seconds = f"300.{uuid.uuid4().int % 10**9}"
    command = ("sh", "-c", script.format(seconds))
    info = world.runtime.start(world.spec())
    if world.kind == "memory":
        world.runtime.faults.hanging_commands.add(command)
    began = time.monotonic()

    result = world.runtime.exec(info.name, command, 0.5)

    assert (result.exit_code, result.end, result.left) == (124, ExecEnd.TIMED_OUT, "")
    assert time.monotonic() - began < 5
    wait_for(lambda: not processes_with(seconds))
    assert world.runtime.inspect(info.name).state is ContainerState.RUNNING


def test_exec_keeps_only_the_latest_of_much_output(world: World):
    command = ("sh", "-c", "while :; do echo 0123456789012345678901234567890123456789; done")
    info = world.runtime.start(world.spec())
    if world.kind == "memory":
        world.runtime.exec_pieces[command] = itertools.repeat(("stdout", b"x" * 1000))
    stop, sizes = threading.Event(), []

    def take(_stream: str, data: bytes) -> None:
        sizes.append(len(data))
        if sum(sizes) > 500_000:
            stop.set()

    result = world.runtime.exec(info.name, command, 30, take=take, stop=stop)

    assert result.end is ExecEnd.STOPPED
    assert len(result.output) == 65536
    assert sum(sizes) < 1_500_000


def test_exec_in_a_container_that_does_not_run_is_refused(world: World):
    info = world.runtime.start(world.spec(("sh", "-c", "exit 3")))
    world.end(info, 3)
    world.wait_until_ended(info.name)

    for name in (info.name, "kijabi-nonesuch-1"):
        with pytest.raises(RuntimeFailure) as caught:
            world.runtime.exec(name, ("true",), 10)
        assert caught.value.reason is FailureReason.NOT_FOUND

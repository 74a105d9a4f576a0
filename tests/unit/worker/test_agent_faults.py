"""The agent when something is in the way: engines, probes, epochs, containers nobody knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.machine import NAME, START, STOP, Machine, outcomes, spec
from worker.labels import Owner
from worker.protocol import ContainerSpec, JobOutcome, NodePhase, Probe, ProbeKind, StartJob
from worker.runtimes.base import (
    ExecResult,
    FailureReason,
    LogLine,
    ProgressCallback,
    RuntimeFailure,
)
from worker.runtimes.memory import InMemoryRuntime

LIVENESS = Probe(kind=ProbeKind.EXEC, command=("alive",), failure_threshold=1, period_seconds=1)
AWAY = RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine does not answer")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_replica_that_is_to_stop_is_not_ready(machine: Machine):
    machine.do(START)

    machine.agent.execute([STOP])

    assert not machine.status().ready


def test_a_log_that_cannot_be_read_does_not_prevent_the_restart(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> Iterator[LogLine]:
        raise RuntimeFailure(FailureReason.UNKNOWN, "the log driver cannot be read")

    machine.do(START)
    monkeypatch.setattr(machine.runtime, "logs", refuse)

    machine.crash(4)

    assert machine.status().ready
    assert machine.status().death.exit_code == 4
    assert "cannot be read" in machine.status().death.log_tail


def test_a_long_log_is_cut_to_its_last_bytes(machine: Machine):
    machine.do(START)
    for _ in range(100):
        machine.runtime.print_line(NAME, "é" * 1000)
    machine.runtime.print_line(NAME, "the end")

    machine.crash()

    tail = machine.status().death.log_tail
    assert 60_000 < len(tail.encode()) <= 65_536
    assert tail.endswith("the end")


def test_a_failed_start_keeps_its_reason_while_it_waits(machine: Machine):
    failure = RuntimeFailure(FailureReason.PORT_TAKEN, "port 80 is taken")
    machine.runtime.faults.starts += [failure, failure, failure]
    machine.do(START)
    machine.look(later=1.5)

    machine.look()

    status = machine.status()
    assert (status.reason, status.message) == ("PortTaken", "port 80 is taken")
    assert status.next_try_at > machine.clock.now


def test_a_command_that_does_not_exist_is_told_and_leaves_nothing_behind(machine: Machine):
    machine.runtime.faults.unknown_commands.add("nonesuch")

    machine.do(StartJob(uid="j1", replica=spec(command=("nonesuch", "-x"))))

    status = machine.status()
    assert (status.reason, status.ready) == ("CommandNotFound", False)
    assert "nonesuch" in status.message
    assert machine.runtime.list() == ()


def test_ten_minutes_of_running_make_the_back_off_start_anew(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("worker.runtimes.memory.time.time", machine.clock)
    machine.do(START)
    for _ in range(5):
        machine.crash()
        machine.look(later=61)
    assert machine.status().ready
    created = machine.runtime.created

    machine.clock.now += 600
    machine.crash()

    assert machine.status().ready, "the restart was at once"
    assert machine.runtime.created == created + 1


def test_a_stop_ends_a_back_off(machine: Machine):
    machine.do(START)
    for _ in range(3):
        machine.crash()

    machine.do(STOP)

    assert machine.runtime.list() == ()
    assert machine.status().phase is NodePhase.STOPPED


def test_a_stop_does_not_wait_for_a_pull_that_hangs(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    pulling, free = threading.Event(), threading.Event()

    def hang(_container: ContainerSpec, _progress: ProgressCallback) -> None:
        pulling.set()
        free.wait(10)

    monkeypatch.setattr(machine.runtime, "pull", hang)
    machine.agent.execute([START])
    passes = threading.Thread(target=machine.agent.run_until_idle)
    passes.start()
    assert pulling.wait(5)

    machine.agent.execute([STOP])
    passes.join(5)
    machine.agent.run_until_idle()

    assert machine.status().phase is NodePhase.STOPPED
    free.set()


def test_a_liveness_failure_restarts_the_container_in_place(machine: Machine):
    machine.runtime.exec_results["alive",] = ExecResult(exit_code=1, output="stuck")

    machine.do(StartJob(uid="j1", replica=spec(liveness_probe=LIVENESS)))
    machine.agent.run_until_idle()

    status = machine.status()
    assert status.restarts >= 1
    assert "LivenessProbeFailed" in (status.reason + status.message)
    assert status.death.exit_code == 143


def test_an_engine_that_cannot_ask_does_not_get_the_container_killed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
):
    def away(*_: object) -> None:
        raise AWAY

    monkeypatch.setattr(machine.runtime, "exec", away)

    machine.do(StartJob(uid="j1", replica=spec(liveness_probe=LIVENESS)))
    machine.agent.run_until_idle()

    assert (machine.status().restarts, machine.runtime.created) == (0, 1)


def test_a_later_epoch_replaces_the_earlier_container(machine: Machine):
    machine.do(START)

    machine.do(StartJob(uid="j5", replica=spec(epoch=2)))

    assert [info.name for info in machine.runtime.list()] == ["kijabi-r1-2"]
    assert machine.status().restarts == 0
    assert outcomes(machine.status())["j5"] is JobOutcome.DONE


def test_a_job_of_an_older_epoch_is_refused_with_a_sentence(machine: Machine):
    machine.do(StartJob(uid="j1", replica=spec(epoch=2)))

    machine.do(STOP)

    refused = next(result for result in machine.status().jobs if result.uid == "j2")
    assert (refused.outcome, "epoch 1 is older" in refused.message) == (JobOutcome.FAILED, True)
    assert machine.status().ready


def test_a_stranger_is_stopped_by_a_pass_not_while_the_job_is_taken(machine: Machine):
    machine.do(START)
    machine.kill()
    machine.path.unlink()
    machine.begin()
    machine.look()

    machine.agent.execute([STOP])
    assert len(machine.runtime.list()) == 1
    machine.agent.run_until_idle()

    assert machine.runtime.list() == ()
    assert outcomes(machine.status())["j2"] is JobOutcome.DONE


def test_a_stranger_that_is_assigned_again_is_taken_over(machine: Machine):
    machine.do(START)
    machine.kill()
    machine.path.unlink()
    machine.begin()
    machine.look()

    machine.do(replace(START, uid="j7"))

    assert machine.runtime.created == 1
    assert [status.reason for status in machine.agent.statuses()] == ["Running"]


def test_what_was_stopped_here_is_removed_even_without_memory(machine: Machine):
    machine.do(STOP)
    machine.runtime.start(spec())

    machine.look()

    assert machine.runtime.list() == ()


def test_a_replica_stays_with_its_runtime_when_another_is_preferred(machine: Machine):
    machine.do(START)
    machine.kill()
    other = InMemoryRuntime(Owner(cluster="c", node="n"))
    machine.runtimes = {"other": other, "in-memory": machine.runtime}

    machine.begin()
    machine.look()

    assert (other.created, machine.runtime.created) == (0, 1)
    assert machine.status().ready


def test_a_runtime_that_does_not_answer_is_not_chosen(machine: Machine):
    other = InMemoryRuntime(Owner(cluster="c", node="n"))
    machine.runtime.faults.engine_down = True
    machine.runtimes = {"in-memory": machine.runtime, "other": other}
    machine.begin()
    machine.agent.look_again()

    machine.do(START)

    assert other.created == 1
    assert machine.agent.engines.usable() == ("other",)
    assert machine.agent.engines.notes() == ("in-memory: the engine does not answer",)


def test_a_runtime_that_is_gone_does_not_make_a_stop_succeed(machine: Machine):
    machine.do(START)
    machine.kill()
    runtime, machine.runtimes = machine.runtime, {}
    machine.begin()

    machine.do(STOP)

    assert machine.status().phase is not NodePhase.STOPPED
    assert "cannot be stopped" in machine.status().message
    assert len(runtime.list()) == 1


def test_a_quiet_container_is_not_asked_about(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    machine.do(START)
    looks: list[str] = []
    monkeypatch.setattr(machine.runtime, "inspect", looks.append)

    machine.look()

    assert looks == []


def wait_for(look, seconds: float = 20.0) -> float:
    began = time.monotonic()
    while not look():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.002)
    return time.monotonic() - began


@pytest.fixture
def working(machine: Machine) -> Iterator[Machine]:
    machine.agent.start()
    yield machine
    machine.kill()


def test_a_death_is_answered_through_the_event_stream(working: Machine):
    working.agent.execute([START])
    wait_for(lambda: working.status().ready)
    first = working.status().container_id
    # The comparison would come after half a minute: only the event can be this quick.
    time.sleep(0.15)

    working.runtime.die(NAME, 1)
    wait_for(lambda: working.status().ready and working.status().container_id != first, 15.0)

    assert working.status().restarts == 1


def test_after_an_engine_restart_each_container_comes_back_once(working: Machine):
    jobs = [StartJob(uid=f"j{n}", replica=spec(f"r{n}")) for n in range(10)]
    working.agent.execute(jobs)
    wait_for(lambda: all(s.ready for s in working.agent.statuses()))
    time.sleep(0.15)

    working.runtime.crash_engine()
    wait_for(lambda: all(s.restarts == 1 and s.ready for s in working.agent.statuses()))
    time.sleep(0.5)

    assert working.runtime.created == 20
    assert {s.restarts for s in working.agent.statuses()} == {1}


def test_a_crowd_of_slow_starts_does_not_hold_up_the_probes_of_what_runs(machine: Machine):
    ready = Probe(kind=ProbeKind.EXEC, command=("ready",))
    machine.runtime.exec_results["ready",] = ExecResult(exit_code=1, output="")
    machine.agent.start()
    machine.agent.execute([StartJob(uid="j1", replica=spec(readiness_probe=ready))])
    wait_for(lambda: machine.status().phase is NodePhase.RUNNING)
    machine.runtime.faults.start_seconds = 0.5
    crowd = [StartJob(uid=f"c{n}", replica=spec(f"c{n}")) for n in range(100)]
    machine.agent.execute(crowd)
    wait_for(lambda: any(s.phase is NodePhase.STARTING for s in machine.agent.statuses()))

    machine.runtime.exec_results["ready",] = ExecResult(exit_code=0, output="")
    wait_for(lambda: machine.status().ready, 15.0)

    assert sum(s.ready for s in machine.agent.statuses()) < 60, "most of the crowd still waits"
    machine.runtime.faults.start_seconds = 0.0
    wait_for(lambda: all(s.ready for s in machine.agent.statuses()))
    machine.kill()

"""What the agent remembers across its own death: assignments, ends, back-off, readiness."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tests.machine import NAME, START, STOP, Machine, outcomes, spec
from worker.assignments import Assignment, AssignmentStore, NotKept
from worker.protocol import (
    JobOutcome,
    JobResult,
    NodePhase,
    Probe,
    ProbeKind,
    Resources,
    StartJob,
    UpdateJob,
)
from worker.runtimes.base import ExecResult

PROBED = spec(
    readiness_probe=Probe(kind=ProbeKind.EXEC, command=("ready",), initial_delay_seconds=0)
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_an_end_is_told_again_after_a_restart(machine: Machine):
    machine.do(START)
    machine.runtime.print_line(NAME, "goodbye")
    machine.do(STOP)
    machine.kill()

    machine.begin()

    status = machine.status()
    assert status.phase is NodePhase.STOPPED
    assert (status.death.exit_code, status.death.log_tail) == (143, "goodbye")
    assert outcomes(status)["j2"] is JobOutcome.DONE


def test_a_late_start_job_brings_nothing_back_after_a_restart(machine: Machine):
    machine.do(START)
    machine.do(STOP)
    machine.kill()

    machine.begin()
    machine.do(replace(START, uid="j9"))

    assert machine.runtime.list() == ()
    assert outcomes(machine.status())["j9"] is JobOutcome.FAILED


def test_a_second_stop_keeps_what_the_first_one_learned(machine: Machine):
    machine.do(START)
    machine.do(STOP)

    machine.do(replace(STOP, uid="j3"))

    assert machine.status().death.exit_code == 143
    assert outcomes(machine.status())["j3"] is JobOutcome.DONE


def test_an_end_leaves_the_full_account_after_a_while(machine: Machine):
    machine.do(START)
    machine.do(STOP)
    assert [status.uid for status in machine.agent.statuses()] == ["r1"]

    machine.clock.now += 601

    assert machine.agent.statuses() == []
    assert machine.status().phase is NodePhase.STOPPED


def test_only_so_many_ends_are_kept(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("worker.tombstones.KEPT", 3)
    for number in range(5):
        machine.do(replace(STOP, uid=f"s{number}", replica=f"x{number}"))

    assert [status.uid for status in machine.agent.statuses()] == ["x2", "x3", "x4"]
    assert set(machine.store.load_ended()) == {"x2", "x3", "x4"}


def test_a_back_off_outlasts_the_agent(machine: Machine):
    machine.do(START)
    for _ in range(3):
        machine.crash()
        machine.look(later=61)
    machine.crash()
    before = machine.status()
    machine.kill()

    machine.begin()
    machine.look()

    after = machine.status()
    assert (after.reason, after.next_try_at) == ("CrashLoopBackOff", before.next_try_at)
    assert (after.restarts, machine.runtime.created) == (before.restarts, 4)


def test_readiness_outlasts_the_agent(machine: Machine):
    machine.do(StartJob(uid="j1", replica=PROBED))
    machine.agent.run_until_idle()
    assert machine.status().ready
    machine.kill()
    machine.runtime.exec_results["ready",] = ExecResult(exit_code=1, output="")

    machine.begin()
    machine.agent.run_until_idle()

    assert machine.status().ready, "one failed answer is below the threshold"


def test_a_container_that_was_never_ready_is_not_after_a_restart(machine: Machine):
    machine.runtime.exec_results["ready",] = ExecResult(exit_code=1, output="")
    machine.do(StartJob(uid="j1", replica=PROBED))
    machine.kill()

    machine.begin()
    machine.agent.run_until_idle()

    assert not machine.status().ready
    assert machine.status().phase is NodePhase.RUNNING


def test_an_accepted_update_is_made_by_the_next_agent(machine: Machine):
    machine.do(START)
    limits = Resources(memory_limit_bytes=1 << 20)
    machine.agent.execute([UpdateJob(uid="u1", replica="r1", epoch=1, resources=limits)])
    machine.kill()

    machine.begin()
    machine.look()

    assert machine.runtime.resources_of(NAME) == limits
    assert outcomes(machine.status())["u1"] is JobOutcome.DONE


def test_an_accepted_stop_is_made_by_the_next_agent(machine: Machine):
    machine.do(START)
    machine.agent.execute([STOP])
    machine.kill()

    machine.begin()
    machine.look()

    assert machine.runtime.list() == ()
    assert machine.status().phase is NodePhase.STOPPED


def test_it_has_looked_once_every_known_replica_had_a_pass(machine: Machine):
    assert machine.agent.has_looked.is_set(), "nothing is known yet"
    machine.do(START)
    machine.kill()

    agent = machine.begin()

    assert not agent.has_looked.is_set()
    agent.run_until_idle()
    assert agent.has_looked.is_set()


def test_a_damaged_file_is_put_aside_and_leaves_nothing_in_the_new_one(tmp_path: Path):
    path = tmp_path / "assignments.sqlite3"
    junk = b"not a database" * 500
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).write_bytes(junk)

    store = AssignmentStore(path)
    store.save([Assignment(spec=spec())])
    store.close()

    assert store.was_lost
    assert (tmp_path / "assignments.damaged").read_bytes() == junk
    again = AssignmentStore(path)
    assert list(again.load()) == ["r1"]
    again.close()


def test_a_file_that_is_merely_locked_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "assignments.sqlite3"
    store = AssignmentStore(path)
    store.save([Assignment(spec=spec())])

    def refuse(_path: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("worker.assignments._open", refuse)
    with pytest.raises(NotKept, match=r"cannot be written .database is locked.: make room"):
        AssignmentStore(path)

    assert list(store.load()) == ["r1"]
    store.close()


def test_one_unreadable_assignment_does_not_take_the_others_along(tmp_path: Path):
    path = tmp_path / "assignments.sqlite3"
    store = AssignmentStore(path)
    store.save([Assignment(spec=spec("r1")), Assignment(spec=spec("r2"))])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE assignment SET body = '{}' WHERE uid = 'r1'")
    other.close()

    assert list(store.load()) == ["r2"]
    assert store.was_lost
    store.close()


def test_everything_in_an_assignment_survives(tmp_path: Path):
    store = AssignmentStore(tmp_path / "assignments.sqlite3")
    result = JobResult(uid="j1", outcome=JobOutcome.FAILED, message="no")
    whole = Assignment(
        spec=spec(epoch=3),
        results={"update": result},
        runtime="docker",
        stop_grace=0,
        has_run=True,
        restarts=2,
        failures=3,
        next_try_at=17.5,
        buried="abc",
        ready_id="def",
        outdated="kijabi-r1-2",
    )

    store.save([whole])

    assert store.load() == {"r1": whole}
    store.close()


def test_the_boot_number_grows_even_when_the_clock_goes_back(tmp_path: Path):
    store = AssignmentStore(tmp_path / "assignments.sqlite3")

    numbers = [store.next_boot(now) for now in (100.0, 50.0, 50.0, 200.0)]

    assert numbers == [100_000, 100_001, 100_002, 200_000]
    store.close()

"""The node's agent on pretended containers: jobs, restarts, back-off, memory across restarts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.machine import NAME, START, STOP, Machine, outcomes, spec
from worker.protocol import JobOutcome, NodePhase, Resources, RetryJob, StartJob, UpdateJob
from worker.runtimes.base import FailureReason, RuntimeFailure


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_start_job_runs_the_container(machine: Machine):
    machine.do(START)

    status = machine.status()
    assert (status.phase, status.ready) == (NodePhase.RUNNING, True)
    assert outcomes(status) == {"j1": JobOutcome.DONE}


def test_the_same_job_again_does_nothing(machine: Machine):
    machine.do(START)
    machine.do(START)

    assert machine.runtime.created == 1


def test_a_stop_job_ends_and_forgets(machine: Machine):
    machine.do(START)
    machine.do(STOP)

    assert machine.runtime.list() == ()
    status = machine.status()
    assert status.phase is NodePhase.STOPPED
    assert outcomes(status)["j2"] is JobOutcome.DONE


def test_a_start_job_that_comes_after_the_stop_does_nothing(machine: Machine):
    machine.do(START)
    machine.do(STOP)
    machine.do(START)

    assert machine.runtime.list() == ()


def test_a_stop_for_what_never_came_is_done(machine: Machine):
    machine.do(STOP)

    assert machine.status().phase is NodePhase.STOPPED
    assert outcomes(machine.status()) == {"j2": JobOutcome.DONE}


def test_an_older_epoch_is_refused(machine: Machine):
    machine.do(StartJob(uid="j1", replica=spec(epoch=2)))
    machine.do(STOP)

    assert len(machine.runtime.list()) == 1


def test_the_first_restart_is_at_once(machine: Machine):
    machine.do(START)
    machine.runtime.die(NAME, 7)
    machine.look()

    status = machine.status()
    assert (status.restarts, status.ready) == (1, True)
    assert status.death.exit_code == 7


def test_a_death_is_told_before_anything_is_found_out_about_it(machine: Machine):
    machine.do(START)
    seen: list[tuple[bool, int]] = []
    machine.agent.died = lambda uid: seen.append(
        (machine.status().ready, machine.status().restarts)
    )

    machine.runtime.die(NAME, 7)
    machine.agent._doubt("r1", died=True)
    machine.agent.run_until_idle()

    assert seen == [(False, 0)]
    assert (machine.status().ready, machine.status().restarts) == (True, 1)


def test_then_it_backs_off_and_says_until_when(machine: Machine):
    machine.do(START)
    for _ in range(2):
        machine.runtime.die(NAME, 7)
        machine.look()

    status = machine.status()
    assert (status.reason, status.ready) == ("CrashLoopBackOff", False)
    assert status.next_try_at == machine.clock.now + 1.0
    machine.look(later=1.1)
    assert machine.status().ready


@pytest.mark.parametrize(
    ("crashes", "wait"), [(3, 2.0), (4, 4.0), (7, 32.0), (8, 60.0), (12, 60.0)]
)
def test_the_wait_doubles_up_to_a_minute(machine: Machine, crashes: int, wait: float):
    machine.do(START)
    for _ in range(crashes):
        machine.look(later=61)
        machine.runtime.die(NAME, 1)
        machine.look()

    assert machine.status().next_try_at == machine.clock.now + wait


def test_retry_forgets_the_back_off(machine: Machine):
    machine.do(START)
    for _ in range(3):
        machine.runtime.die(NAME, 1)
        machine.look()

    machine.do(RetryJob(uid="j3", replica="r1", epoch=1))

    assert machine.status().ready
    assert outcomes(machine.status())["j3"] is JobOutcome.DONE


def test_a_failed_pull_is_told_and_tried_again(machine: Machine):
    machine.runtime.faults.pulls.append(RuntimeFailure(FailureReason.IMAGE_AUTH, "log in first"))
    machine.do(START)

    status = machine.status()
    assert (status.reason, status.message) == ("ImageAuthRequired", "log in first")
    machine.look(later=5)
    assert machine.status().ready


def test_a_lost_answer_makes_no_second_container(machine: Machine):
    machine.runtime.faults.lose_start_reply = 1
    machine.do(START)
    machine.look(later=5)

    assert machine.runtime.created == 1
    assert machine.status().ready


def test_an_engine_that_is_away_is_waited_for(machine: Machine):
    machine.runtime.faults.engine_down = True
    machine.do(START)
    assert machine.status().reason == "EngineUnavailable"

    machine.runtime.faults.engine_down = False
    machine.look()

    assert machine.status().ready


def test_limits_change_in_place_and_outlast_a_restart(machine: Machine):
    machine.do(START)
    limits = Resources(memory_limit_bytes=1 << 20)
    machine.do(UpdateJob(uid="j4", replica="r1", epoch=1, resources=limits))
    assert machine.runtime.created == 1
    assert outcomes(machine.status())["j4"] is JobOutcome.DONE

    machine.runtime.die(NAME, 1)
    machine.look()

    assert machine.runtime.resources_of(NAME) == limits


def test_a_new_agent_takes_over_what_runs(machine: Machine):
    machine.do(START)
    machine.agent.close()

    machine.begin()
    machine.look()

    assert machine.runtime.created == 1
    assert machine.status().ready


def test_what_died_while_the_agent_was_away_is_restarted(machine: Machine):
    machine.do(START)
    machine.agent.close()
    machine.runtime.die(NAME, 9)

    machine.begin()
    machine.look()

    assert machine.status().ready
    assert machine.status().death.exit_code == 9


def test_a_leftover_that_no_assignment_knows_is_removed(machine: Machine):
    machine.runtime.start(spec("stray"))
    machine.begin()

    machine.look()

    assert machine.runtime.list() == ()


def test_without_its_memory_it_kills_nothing(machine: Machine):
    machine.do(START)
    machine.agent.close()
    for file in machine.folder.glob("assignments.*"):
        file.unlink()

    machine.begin()
    machine.look()

    assert len(machine.runtime.list()) == 1
    assert (machine.status().phase, machine.status().reason) == (NodePhase.RUNNING, "Unassigned")


def test_a_damaged_memory_is_put_aside(machine: Machine):
    machine.agent.close()
    path = machine.folder / "assignments.sqlite3"
    for file in machine.folder.glob("assignments.sqlite3-*"):
        file.unlink()
    path.write_bytes(b"not a database at all" * 100)

    machine.begin()
    machine.do(START)

    assert machine.status().ready


def test_a_runtime_that_is_not_here_is_named(machine: Machine):
    machine.do(StartJob(uid="j1", replica=replace(spec(), runtime_class="moon")))

    assert machine.status().reason == "Unsupported"
    assert "moon" in machine.status().message

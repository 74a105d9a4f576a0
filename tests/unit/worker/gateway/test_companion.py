"""A companion of the worker: kept running, taken over by the next worker, ended on demand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sandboxes import wait_for
from worker.gateway import companion
from worker.gateway.companion import Companion, Manner
from worker.processes import ProcessId

COPY_INPUT = ("sh", "-c", 'cat > "$0"; exec sleep 300')


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Companion]]:
    made: list[Companion] = []

    def build(*more: str) -> Companion:
        argv = (*COPY_INPUT, str(tmp_path / "read"), *more)
        made.append(Companion("copy", argv, tmp_path, lambda: b"what it is to know"))
        return made[-1]

    yield build
    for one in made:
        one.leave()
    companion.end(tmp_path, "copy", 1)


@pytest.fixture
def running(make: Callable[..., Companion]) -> Companion:
    made = make()
    made.start()
    wait_for(lambda: made.pid is not None)
    return made


def test_it_reads_what_it_is_to_know(running: Companion, tmp_path: Path):
    wait_for(lambda: (tmp_path / "read").exists() and (tmp_path / "read").read_bytes() != b"")

    assert (tmp_path / "read").read_bytes() == b"what it is to know"


def test_a_killed_one_is_started_again(running: Companion):
    first = running.pid or 0

    os.kill(first, signal.SIGKILL)

    wait_for(lambda: running.pid not in {None, first})


def test_one_that_is_left_runs_on_and_is_started_by_nobody(running: Companion):
    first = running.pid or 0

    running.leave()
    survived = ProcessId.of(first)
    os.kill(first, signal.SIGKILL)
    time.sleep(2 * companion.SHORTEST_WAIT)

    assert survived is not None
    assert running.pid is None


def test_the_next_worker_takes_it_over(running: Companion, make: Callable[..., Companion]):
    first = running.pid or 0
    running.leave()
    following = make()

    taken = following.take_over()
    pid = following.pid
    os.kill(first, signal.SIGKILL)

    assert taken
    assert pid == first
    wait_for(lambda: following.pid not in {None, first})


def test_one_that_was_started_otherwise_is_ended(
    running: Companion, make: Callable[..., Companion]
):
    first = running.pid or 0
    running.leave()

    taken = make("--another").take_over()

    assert not taken
    assert ProcessId.of(first) is None


def test_what_another_program_has_the_pid_of_is_not_taken_over(
    make: Callable[..., Companion], tmp_path: Path
):
    (tmp_path / "copy.pid").write_text(f'[{os.getpid()}, 1, "[]"]')

    assert not make().take_over()


def test_one_whose_files_have_changed_is_another(running: Companion, tmp_path: Path):
    pid = running.pid or 0
    running.leave()
    part = tmp_path / "part"
    part.touch()
    argv = (*COPY_INPUT, str(tmp_path / "read"))

    assert not Companion("copy", argv, tmp_path, bytes, Manner(made_of=(part,))).take_over()
    wait_for(lambda: ProcessId.of(pid) is None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have anything run sooner")
def test_it_runs_sooner_than_others_and_with_what_it_is_to_be_told(tmp_path: Path):
    told = {"KIJABI_TOLD": "before", "HOME": "elsewhere"}
    argv = ("sh", "-c", 'echo "$KIJABI_TOLD $HOME"; exec sleep 300')
    made = Companion("quick", argv, tmp_path, bytes, Manner(settings=told, nice=-3))
    made.start()
    wait_for(lambda: made.pid is not None and (tmp_path / "quick.log").read_text())

    assert os.getpriority(os.PRIO_PROCESS, made.pid or 0) == -3
    assert (tmp_path / "quick.log").read_text() == f"before {os.environ['HOME']}\n"
    made.leave()
    companion.end(tmp_path, "quick", 1)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '["a", "b", "c"]'])
def test_a_damaged_record_is_none(make: Callable[..., Companion], tmp_path: Path, text: str):
    (tmp_path / "copy.pid").write_text(text)

    assert not make().take_over()


def test_ending_it_asks_first_and_kills_then(make: Callable[..., Companion], tmp_path: Path):
    deaf = Companion(
        "copy", ("sh", "-c", "trap '' TERM; echo; while :; do sleep 0.1; done"), tmp_path, bytes
    )
    deaf.start()
    wait_for(
        lambda: (tmp_path / "copy.log").exists() and (tmp_path / "copy.log").read_bytes() != b""
    )
    pid = deaf.pid or 0
    deaf.leave()

    companion.end(tmp_path, "copy", 0.2)

    assert ProcessId.of(pid) is None
    assert not (tmp_path / "copy.pid").exists()


def test_it_outlives_a_killed_worker(tmp_path: Path):
    script = f"""
import time
from pathlib import Path
from worker.gateway.companion import Companion
made = Companion("c", ("sleep", "300"), Path({str(tmp_path)!r}), bytes)
made.start()
while made.pid is None:
    time.sleep(0.01)
print(made.pid, flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        worker.kill()
    time.sleep(0.1)

    survived = ProcessId.of(pid)
    companion.end(tmp_path, "c", 1)

    assert survived is not None
    assert ProcessId.of(pid) is None

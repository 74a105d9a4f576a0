"""Locks of a state folder, held by real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.launch import locks
from orchestrator.launch.environment import ROOT, Unready

HOLD = """
import sys, time
from pathlib import Path
from orchestrator.launch.locks import OnlyOne
with OnlyOne(Path(sys.argv[1]), "up", "end it first"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


@pytest.fixture
def other(home: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_holder_is_told_who_the_first_one_is(home, other):
    with pytest.raises(Unready, match=rf"process {other.pid}\); end it first"):
        locks.OnlyOne(home, "up", "end it first").__enter__()


def test_a_holder_that_was_killed_leaves_no_lock(home, other):
    other.kill()
    other.wait()

    with locks.OnlyOne(home, "up", "end it first"):
        held = locks.holder(home / "run" / "up.lock")

    assert held is not None


def test_the_holder_can_be_found_and_ended(home, other):
    [lock] = locks.found(home)
    pid = locks.holder(lock)

    locks.end_holder(lock, pid)

    assert pid == other.pid
    assert other.wait(5) != 0
    assert locks.holder(lock) is None


def test_up_comes_before_the_nodes_it_may_run(home):
    for name in ("node-a", "up", "node-z"):
        (home / "run" / f"{name}.lock").touch()

    assert [path.stem for path in locks.found(home)] == ["up", "node-a", "node-z"]


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(Unready, match=f"state folder {tmp_path} cannot be written .No such file"):
        locks.OnlyOne(tmp_path, "up", "end it first").__enter__()

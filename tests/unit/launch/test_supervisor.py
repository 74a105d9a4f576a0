"""The supervisor with small real programs as children."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.launch import environment, nodes, stack
from orchestrator.launch.supervisor import Child, Supervisor, rotate

FOREVER = "import time\ntime.sleep(60)"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(said.append)
    yield made
    made.end()


def child(tmp_path: Path, program: str, name: str = "one") -> Child:
    log = tmp_path / f"{name}.log"
    return Child(name, [sys.executable, "-c", program], os.environ, log)


def step_until(supervisor: Supervisor, is_so, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        supervisor.step(0.05)
        if is_so():
            return
    raise AssertionError("it did not happen in time")


def test_a_child_that_is_killed_is_started_again(supervisor, said, tmp_path: Path):
    supervisor.add(child(tmp_path, FOREVER))
    first = supervisor.pids()["one"]

    os.kill(first, signal.SIGKILL)

    step_until(supervisor, lambda: supervisor.pids().get("one") not in {None, first})
    assert "by signal 9" in said[0]


def test_a_child_that_keeps_dying_is_waited_for_longer(supervisor, said, tmp_path: Path):
    supervisor.add(child(tmp_path, "raise SystemExit(3)"))

    step_until(supervisor, lambda: len(said) >= 3)

    assert all("with status 3" in line for line in said)
    assert len(said) < 6


def test_the_end_of_a_child_is_told_with_its_latest_words(supervisor, said, tmp_path: Path):
    supervisor.add(child(tmp_path, "raise ModuleNotFoundError('no seaweed')"))

    step_until(supervisor, lambda: len(said) >= 1)

    assert "with status 1: ModuleNotFoundError: no seaweed; it is started again now" in said[0]


def test_output_goes_to_the_log(supervisor, tmp_path: Path):
    supervisor.add(child(tmp_path, f"print('hello', flush=True)\n{FOREVER}"))

    step_until(supervisor, lambda: "hello" in (tmp_path / "one.log").read_text())


def test_ending_ends_every_child(supervisor, tmp_path: Path):
    for name in ("one", "two"):
        supervisor.add(child(tmp_path, FOREVER, name))
    pids = supervisor.pids().values()

    supervisor.end()

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path):
    program = f"""
import os, sys, time
from pathlib import Path
from orchestrator.launch.supervisor import Child, Supervisor
s = Supervisor(print)
s.add(Child("one", [sys.executable, "-c", {FOREVER!r}], os.environ, Path({str(tmp_path)!r}) / "l"))
print(s.pids()["one"], flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=environment.ROOT
    ) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.02)
    raise AssertionError("the child outlived its supervisor")


def test_a_log_that_has_grown_is_cut(tmp_path: Path):
    log = tmp_path / "x.log"
    log.write_bytes(b"x" * (11 * 1024 * 1024))

    rotate(log)

    assert log.stat().st_size == 0
    assert (tmp_path / "x.log.1").stat().st_size > 10 * 1024 * 1024


def test_a_port_that_is_taken_is_told():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(environment.Unready, match="--port"):
            stack._check_port("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("name", ["Node", "a_b", "-a", "", "x" * 64])
def test_a_node_needs_a_proper_name(name: str):
    import argparse

    with pytest.raises(argparse.ArgumentTypeError):
        nodes.node_name(name)


def test_a_child_whose_log_was_deleted_or_cannot_be_written_is_kept_running(
    supervisor, said, tmp_path: Path
):
    made = child(tmp_path / "logs", "import time\ntime.sleep(0.3)\nraise SystemExit(3)")
    supervisor.add(made)
    shutil.rmtree(tmp_path / "logs")
    (tmp_path / "logs").write_text("in the way")

    step_until(supervisor, lambda: len(said) >= 2)

    assert "with status 3: its log cannot be read" in said[0]
    assert said[1].startswith("one runs without a log")

"""When a child is started again, and that none outlives a killed supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.launch.environment import ROOT
from orchestrator.launch.supervisor import Child, Supervisor, restart_wait

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
SUPERVISE = """
import os, sys, time
from pathlib import Path
from orchestrator.launch.supervisor import Child, Supervisor
log = Path(sys.argv[1])
supervisor = Supervisor(print)
supervisor.add(Child("one", [sys.executable, "-c", sys.argv[2]], os.environ, log))
while "deaf" not in log.read_text():
    time.sleep(0.02)
print(supervisor.pids()["one"], flush=True)
time.sleep(60)
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    made = Supervisor(lambda line: None)
    yield made
    made.end()


@pytest.mark.parametrize(
    ("quick_ends", "seconds"),
    [
        pytest.param(0, 0.0, id="never"),
        pytest.param(1, 0.0, id="the-first-costs-nothing"),
        pytest.param(2, 0.2, id="then-it-waits"),
        pytest.param(4, 0.8, id="twice-as-long-each-time"),
        pytest.param(50, 5.0, id="never-longer-than-five-seconds"),
    ],
)
def test_restart_wait(quick_ends: int, seconds: float):
    assert restart_wait(quick_ends) == pytest.approx(seconds)


def test_a_child_that_ends_is_back_within_a_tenth_of_a_second(supervisor, tmp_path: Path):
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    supervisor.add(Child("one", command, os.environ, tmp_path / "one.log"))
    first = supervisor.pids()["one"]

    os.kill(first, signal.SIGKILL)
    supervisor.step(5)

    assert supervisor.pids()["one"] != first


def test_a_hopeless_child_is_named(supervisor, tmp_path: Path):
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    supervisor.add(Child("one", command, os.environ, tmp_path / "one.log"))
    deadline = time.monotonic() + 10

    while supervisor.unable(2) is None and time.monotonic() < deadline:
        supervisor.step(0.05)

    assert supervisor.unable(2).name == "one"
    assert supervisor.unable(100) is None


def test_a_child_deaf_to_sigterm_dies_with_a_killed_supervisor(tmp_path: Path):
    words = [sys.executable, "-c", SUPERVISE, str(tmp_path / "one.log"), STUBBORN]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT) as parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 5

    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

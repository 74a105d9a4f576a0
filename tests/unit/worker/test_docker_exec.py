"""Commands in an engine's containers that cannot be killed from here: what people are told."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from worker.runtimes import docker_exec
from worker.runtimes.base import ExecEnd, ExecResult
from worker.runtimes.collecting import Collector
from worker.runtimes.docker_exec import Command

CONTAINER = "c" * 64


class Engine:
    """Stands in for the SDK: a command that runs and never says anything."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.is_running = True

    def exec_inspect(self, _id: str) -> dict[str, object]:
        return {
            "Running": self.is_running,
            "Pid": self.pid,
            "ContainerID": CONTAINER,
            "ExitCode": None,
        }

    def _post_json(self, *_: object, **__: object) -> SimpleNamespace:
        raw = SimpleNamespace(read=lambda _size: self._wait(), closed=True)
        return SimpleNamespace(raw=raw, close=lambda: None)

    def _wait(self) -> bytes:
        time.sleep(1)
        return b""

    def _url(self, *_: object) -> str:
        return ""

    def _raise_for_status(self, _answer: object) -> None:
        return


def run(engine: Engine) -> ExecResult:
    collector = Collector(0.05, lambda *_: None, None)
    return Command(engine, "kijabi-r1-1", "e1").run(collector, 0.05)


def test_a_process_that_is_not_the_containers_is_left_alone():
    result = run(Engine(os.getpid()))

    assert result.end is ExecEnd.TIMED_OUT
    assert f"runs on in the container as process {os.getpid()}" in result.left
    assert "cannot be seen from here" in result.left


def test_an_engine_elsewhere_is_told():
    nobody = int(Path("/proc/sys/kernel/pid_max").read_text()) - 1

    assert "the engine runs on another machine" in run(Engine(nobody)).left


def test_an_agent_that_may_not_kill_says_so(monkeypatch: pytest.MonkeyPatch):
    def refused(_process: object) -> None:
        raise PermissionError

    monkeypatch.setattr(docker_exec, "kill_all_of", refused)
    monkeypatch.setattr(Path, "read_text", _cgroup(Path.read_text))

    assert "is not root" in run(Engine(os.getpid())).left


def _cgroup(real):
    """Pretend that every process belongs to the container."""

    def read(path: Path, *arguments: object) -> str:
        return CONTAINER if path.name == "cgroup" else real(path, *arguments)

    return read

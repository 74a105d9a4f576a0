"""A second machine (a state folder and process of its own) joins with one command and works."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.test_journeys import manifest
from tests.stack import ROOT, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]
Machine = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def machine(stack: Stack, tmp_path: Path) -> Iterator[Machine]:
    """Run `manage.py` on the second machine."""
    env = stack.env | {"KIJABI_HOME": str(tmp_path / "second")}
    begun: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        return process

    yield run
    for process in begun:
        process.terminate()
        process.communicate()
    run("down").communicate(timeout=60)


def states(stack: Stack) -> list[tuple[str, str]]:
    return [(row["name"], row["state"]) for row in stack.api("nodes/")["results"]]


def ready_on(stack: Stack, node: str) -> list[str]:
    return [row["uid"] for row in stack.ready() if row["node"] == node]


@pytest.mark.parametrize("stack", ["sandbox"], indirect=True)
def test_a_second_machine_joins_works_and_outlives_the_broker(stack: Stack, machine: Machine):
    words = stack.join_words()
    second = [*words, "--name", "n2", "--runtime", "sandbox"]
    machine(*second)
    stack.wait_for(lambda: ("n2", "ready") in states(stack))

    stack.run(
        "apply", "-f", "-", "--wait", text=manifest(stack).replace("replicas: 3", "replicas: 4")
    )
    uid = ready_on(stack, "n2")[0]
    assert "version 1" in stack.run("logs", uid)
    assert stack.run("exec", uid, "--", "sh", "-c", "echo on $KIJABI_NODE") == "on n2\n"

    again = machine(*words, "--name", "n3")
    assert "was used by n2" in again.communicate(timeout=30)[1]
    assert again.returncode == 1
    twice = machine(*second)
    assert "n2 has joined http://127.0.0.1" in twice.communicate(timeout=30)[1]

    seen = stack.api("nodes/n2/")["seen_at"]
    stack.kill("-server 127")
    stack.wait_for(lambda: stack.api("nodes/n2/")["seen_at"] > seen)
    # Whichever of the two is heard later may be suspect for a moment, and gets nothing meanwhile.
    had = len(ready_on(stack, "n2"))
    stack.run("cordon", "n1")
    stack.run("scale", "deployment/web", "--replicas", "6")
    stack.wait_for(lambda: len(ready_on(stack, "n2")) == had + 2)

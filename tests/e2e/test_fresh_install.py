"""A stranger's first minutes: a copy of the project, nothing installed, an empty environment.

Every other test runs where the extras for tests are installed, which hides a dependency that the
product itself does not name.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import ROOT, Stack, free_port

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".kijabi", "build", "*.egg-info", "__pycache__")
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: first}
spec:
  template:
    spec:
      runtimeClassName: sandbox
      containers: [{name: main, image: host, command: [sleep, "600"]}]
"""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    copy = tmp_path / "kijabi"
    shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
    python = Path(sys.base_prefix) / "bin/python3"
    made = Stack(copy / ".kijabi", free_port(), "sandbox", root=copy, python=python)
    yield made
    made.end()
    made.run("down")


@pytest.mark.timeout(400)
def test_a_copy_runs_a_replica_after_one_command(stack: Stack):
    stack.start({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(stack.home.parent)})

    said = stack.run("apply", "-f", "-", "--wait", text=MANIFEST)

    assert said.endswith("deployment/first: 1 replica is available\n")
    assert [row["node"] for row in stack.ready()] == ["n1"]

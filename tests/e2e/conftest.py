"""A stack for each journey: Docker containers, sandboxes, or each in turn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_engine
from tests.conftest import require_or_skip
from tests.stack import Stack, free_port


@pytest.fixture(params=["docker", "sandbox"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    if request.param == "docker":
        if why := docker_engine.why_missing():
            require_or_skip("docker", why)
        docker_engine.make_image()
    made = Stack(tmp_path / "home", free_port(), request.param)
    made.start()
    yield made
    made.end()
    made.run("down")


@pytest.fixture
def docker_stack(tmp_path: Path) -> Iterator[Stack]:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    docker_engine.make_image()
    made = Stack(tmp_path / "home", free_port(), "docker")
    made.start()
    yield made
    made.end()
    made.run("down")

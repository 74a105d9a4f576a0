"""Three nodes on machines of their own, which cost ten seconds: all tests of a file share them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import docker_engine, fleet, network
from tests.conftest import require_or_skip
from tests.fleet import Fleet


@pytest.fixture(scope="module")
def shared_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    if why := network.why_missing():
        require_or_skip("namespaces", why)
    folder: Path = tmp_path_factory.mktemp("fleet")
    with fleet.running(folder, "a", "b", "c") as made:
        yield made


@pytest.fixture
def three(shared_fleet: Fleet) -> Iterator[Fleet]:
    """All nodes are there and nothing runs; whatever a test does to them is mended after it."""
    made = shared_fleet
    made.mark()
    yield made
    for node in made.nodes.values():
        node.machine.heal()
    for row in made.stack.api("deployments/")["results"]:
        made.stack.run("delete", "deployment", row["name"])
    made.await_states(a="ready", b="ready", c="ready")
    made.stack.wait_for(lambda: not made.stack.api("deployments/")["results"])
    assert made.containers(also_ended=True) == {}


@pytest.fixture
def web(three: Fleet) -> Fleet:
    """Three replicas of `web`, one on each node."""
    three.apply("web", replicas=3)
    three.stack.wait_for(lambda: three.is_whole(3))
    return three

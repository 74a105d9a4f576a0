"""The three runtimes, each with the commands and images that mean the same in its world."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import backends, docker_engine
from tests.backends import Backend
from tests.caddies import CaddySite
from tests.conftest import require_or_skip
from worker.labels import Owner, container_name
from worker.protocol import ContainerSpec, ReplicaSpec
from worker.runtimes.base import (
    ContainerInfo,
    ContainerRuntime,
    ContainerState,
    RuntimeEvent,
    RuntimeFailure,
)
from worker.runtimes.memory import InMemoryRuntime

FOREVER = ("sleep", "300")


@dataclass
class World:
    """One runtime under test; `image` is one that works there."""

    kind: str
    runtime: ContainerRuntime
    other: ContainerRuntime
    image: str
    started: list[str] = field(default_factory=list)

    def spec(self, command: tuple[str, ...] = FOREVER, **container: object) -> ReplicaSpec:
        """Return a replica with a fresh uid."""
        values = {"name": "main", "image": self.image, "command": command, **container}
        uid = uuid.uuid4().hex[:12]
        self.started.append(container_name(uid, 1))
        return ReplicaSpec(
            uid=uid,
            epoch=1,
            namespace="default",
            deployment="web",
            revision=1,
            slot=0,
            containers=(ContainerSpec(**values),),
        )

    def end(self, info: ContainerInfo, code: int) -> None:
        """Let a pretended container end; a real one ends by itself."""
        if isinstance(self.runtime, InMemoryRuntime):
            self.runtime.die(info.name, code)

    def wait_until_ended(self, name: str) -> ContainerInfo:
        return wait_for(lambda: self._ended(name))

    def _ended(self, name: str) -> ContainerInfo | None:
        info = self.runtime.inspect(name)
        return info if info is not None and info.state is ContainerState.EXITED else None


def wait_for(look, seconds: float = 20.0):
    """Return the first true answer of `look`, or fail."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen in time")


def owners() -> tuple[Owner, Owner]:
    cluster = f"test-{uuid.uuid4().hex[:8]}"
    return Owner(cluster=cluster, node="a"), Owner(cluster=cluster, node="b")


def in_memory(tmp_path: Path) -> World:
    ours, theirs = owners()
    return World("memory", InMemoryRuntime(ours), InMemoryRuntime(theirs), "app:1")


def docker(tmp_path: Path) -> World:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    docker_engine.make_image()
    from worker.runtimes.docker import DockerRuntime

    ours, theirs = owners()
    return World("docker", DockerRuntime(ours), DockerRuntime(theirs), docker_engine.IMAGE)


def sandbox(tmp_path: Path) -> World:
    from worker.runtimes.sandbox import SandboxRuntime

    ours, theirs = owners()
    world = World(
        "sandbox",
        SandboxRuntime(ours, tmp_path / "a"),
        SandboxRuntime(theirs, tmp_path / "b"),
        "host",
    )
    try:
        world.runtime.check()
    except RuntimeFailure as failure:
        require_or_skip("sandbox", str(failure))
    return world


WORLDS: dict[str, Callable[[Path], World]] = {
    "memory": in_memory,
    "docker": docker,
    "sandbox": sandbox,
}


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = WORLDS[request.param](tmp_path)
    yield made
    for name in made.started:
        made.runtime.remove(name)
    for runtime in (made.runtime, made.other):
        if hasattr(runtime, "close"):
            runtime.close()


@pytest.fixture
def seen(world: World) -> Iterator[list[RuntimeEvent]]:
    """What the event stream tells from now on."""
    found: list[RuntimeEvent] = []
    stop = threading.Event()

    def follow() -> None:
        found.extend(iter_into(found, world.runtime.events(stop)))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    wait_for(lambda: found)
    yield found
    stop.set()
    thread.join(3)
    assert not thread.is_alive(), "the event stream does not end when it is told to"


def iter_into(found: list[RuntimeEvent], events: Iterator[RuntimeEvent]) -> list[RuntimeEvent]:
    for event in events:
        found.append(event)
    return []


@pytest.fixture
def servers() -> Iterator[list[Backend]]:
    with backends.running("one", "two", "three") as made:
        yield made


@pytest.fixture
def caddy_site(tmp_path: Path) -> Iterator[CaddySite]:
    made = CaddySite(tmp_path)
    yield made
    made.close()

"""Docker is killed, or stopped, and started again under an agent: everything comes back, once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import docker_engine, network
from tests.conftest import require_or_skip
from tests.machine import spec
from tests.own_engine import OwnEngine
from worker import deaths
from worker.agent import Agent
from worker.assignments import AssignmentStore
from worker.labels import Owner
from worker.protocol import ReplicaStatus, StartJob
from worker.runtimes.docker import DockerRuntime

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    # The SDK leaves the socket of a connection that failed to the garbage collector.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]

UIDS = ("r1", "r2", "r3")
ALL_RUN = [(f"kijabi-{uid}-1", "running") for uid in UIDS]


def is_back_once(engine: OwnEngine, agent: Agent) -> bool:
    """Each runs once, was counted once, and says what happened to it."""
    said = {(status.restarts, status.reason, status.message) for status in statuses(agent)}
    return (
        all_ready(agent)
        and engine.containers() == ALL_RUN
        and said == {(1, "Running", deaths.WITH_ENGINE)}
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[OwnEngine]:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    if why := network.why_missing():
        require_or_skip("namespaces", why)
    # Short, as its sockets lie deep within, and a socket's path has 107 characters at most.
    with (
        tempfile.TemporaryDirectory(prefix="kijabi-test-") as short,
        network.network() as net,
        (tmp_path / "dockerd.log").open("wb") as log,
    ):
        made = OwnEngine(folder=Path(short), machine=net.add(), log=log)
        made.start()
        made.make_image()
        yield made
        made.close()


@pytest.fixture
def agent(engine: OwnEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Agent]:
    """An agent with three replicas that run."""
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    runtime = DockerRuntime(Owner(cluster="c", node="n"))
    store = AssignmentStore(tmp_path / "assignments.sqlite3")
    made = Agent({"docker": runtime}, store, lambda _uid: None)
    made.start()
    words = {"image": docker_engine.IMAGE, "command": ("sleep", "300")}
    made.execute(StartJob(uid=f"j{uid}", replica=spec(uid, **words)) for uid in UIDS)
    wait_for(lambda: all_ready(made))
    yield made
    made.close()
    runtime.close()
    store.close()


def wait_for(look: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def statuses(agent: Agent) -> list[ReplicaStatus]:
    return agent.statuses(UIDS)


def all_ready(agent: Agent) -> bool:
    return all(status.ready for status in statuses(agent))


def test_a_killed_engine_leaves_replicas_ready_and_gets_them_all_back_once(
    engine: OwnEngine, agent: Agent
):
    engine.kill()
    wait_for(lambda: agent.engines.usable() == ())

    # They run on without it, as far as anybody knows; their probes would say otherwise.
    assert all_ready(agent)
    engine.start()

    wait_for(lambda: is_back_once(engine, agent))
    agent.look_again()
    assert is_back_once(engine, agent)


def test_a_stopped_engine_ends_replicas_and_gets_them_all_back_once(
    engine: OwnEngine, agent: Agent
):
    engine.stop()
    wait_for(lambda: not any(status.ready for status in statuses(agent)))
    engine.start()

    wait_for(lambda: is_back_once(engine, agent))
    agent.look_again()
    assert is_back_once(engine, agent)

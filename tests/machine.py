"""A node's agent on pretended containers and a clock that a test moves."""

from __future__ import annotations

from pathlib import Path

from worker.agent import Agent
from worker.assignments import AssignmentStore
from worker.labels import Owner
from worker.protocol import (
    ContainerSpec,
    JobOutcome,
    ReplicaSpec,
    ReplicaStatus,
    StartJob,
    StopJob,
)
from worker.runtimes.base import ContainerRuntime
from worker.runtimes.memory import InMemoryRuntime

NAME = "kijabi-r1-1"


class Clock:
    """Seconds since the epoch, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Machine:
    """A node whose agent can be ended and begun again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.runtime = InMemoryRuntime(Owner(cluster="c", node="n"))
        self.runtimes: dict[str, ContainerRuntime] = {"in-memory": self.runtime}
        self.changed: list[str] = []
        self.agent = self.begin()

    @property
    def path(self) -> Path:
        """Return the file of the agent's memory."""
        return self.folder / "assignments.sqlite3"

    def begin(self) -> Agent:
        """Start the agent anew, as after a kill."""
        self.store = AssignmentStore(self.path)
        self.agent = Agent(self.runtimes, self.store, self.changed.append, clock=self.clock)
        return self.agent

    def kill(self) -> None:
        """End the agent without a word; containers run on."""
        self.agent.close()
        self.store.close()

    def do(self, *jobs: object) -> None:
        """Give jobs to the agent and let it do them."""
        self.agent.execute(jobs)
        self.agent.run_until_idle()

    def look(self, later: float = 0.0) -> None:
        """Let some time pass, then let the agent notice what has changed."""
        self.clock.now += later
        self.agent.look_again()
        self.agent.run_until_idle()

    def crash(self, exit_code: int = 1) -> None:
        """Let the container end by itself, and the agent notice."""
        self.runtime.die(NAME, exit_code)
        self.look()

    def status(self) -> ReplicaStatus:
        """Return what the agent says of the replica."""
        return self.agent.statuses(["r1"])[0]


def spec(uid: str = "r1", epoch: int = 1, **container: object) -> ReplicaSpec:
    """Return a replica of one container."""
    values = {"name": "main", "image": "app:1"} | container
    return ReplicaSpec(
        uid=uid,
        epoch=epoch,
        namespace="default",
        deployment="web",
        revision=1,
        slot=0,
        containers=(ContainerSpec(**values),),
    )


START = StartJob(uid="j1", replica=spec())
STOP = StopJob(uid="j2", replica="r1", epoch=1)


def outcomes(status: ReplicaStatus) -> dict[str, JobOutcome]:
    """Return what became of the jobs."""
    return {result.uid: result.outcome for result in status.jobs}

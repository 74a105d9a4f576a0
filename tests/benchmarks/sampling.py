"""What measuring costs: processor time of one node's sampler with many real containers.

    python3 manage.py bench sampling [--replicas 100] [--runtime docker|sandbox] [--looks 20]

The containers are started first, then looked at again and again, each look with all that leaves
the node: rates, the message as JSON, its signature. What the operating system does for us in these
calls is counted, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests import docker_engine
from tests.letters import an_identity
from worker.assignments import AssignmentStore
from worker.config import WorkerConfig
from worker.labels import Owner, container_name
from worker.mailbox import Mailbox
from worker.protocol import ContainerSpec, ReplicaSpec, ReplicaUid, to_wire
from worker.running import Running
from worker.runtimes.base import ContainerRuntime
from worker.sampler import Sampler


def runtime_of(name: str, folder: Path) -> tuple[ContainerRuntime, str]:
    """Return a runtime and an image of it."""
    owner = Owner(cluster=f"bench-{uuid.uuid4().hex[:8]}", node="bench")
    if name == "sandbox":
        from worker.runtimes.sandbox import SandboxRuntime

        return SandboxRuntime(owner, folder / "sandbox"), "host"
    from worker.runtimes.docker import DockerRuntime

    docker_engine.make_image()
    return DockerRuntime(owner), docker_engine.IMAGE


class Started:
    """So many containers that do nothing."""

    def __init__(self, runtime: ContainerRuntime, image: str, number: int) -> None:
        self.runtimes: Mapping[str, ContainerRuntime] = {runtime.name: runtime}
        self._runtime = runtime
        self._specs = [_spec(image) for _ in range(number)]

    def running(self) -> list[Running]:
        """Return them all."""
        return [
            Running(
                uid=spec.uid,
                container=container_name(spec.uid, 1),
                runtime=self._runtime.name,
                restarts=0,
            )
            for spec in self._specs
        ]

    @contextmanager
    def up(self) -> Iterator[None]:
        """Start them for a while."""
        with ThreadPoolExecutor(8) as threads:
            try:
                list(threads.map(self._runtime.start, self._specs))
                yield
            finally:
                list(threads.map(self._runtime.remove, [one.container for one in self.running()]))


def _spec(image: str) -> ReplicaSpec:
    container = ContainerSpec(name="main", image=image, command=("sleep", "600"))
    return ReplicaSpec(
        uid=ReplicaUid(uuid.uuid4().hex[:12]),
        epoch=1,
        namespace="default",
        deployment="bench",
        revision=1,
        slot=0,
        containers=(container,),
    )


def spent() -> float:
    """Return seconds of processor time of this process so far, the kernel's part included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, and say what it costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=100)
    parser.add_argument("--runtime", choices=("docker", "sandbox"), default="docker")
    parser.add_argument("--looks", type=int, default=20)
    options = parser.parse_args()
    seconds = WorkerConfig(node="b", cluster="b", home=Path("/")).metrics_seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runtime, image = runtime_of(options.runtime, folder)
        mailbox = Mailbox(an_identity("bench"), AssignmentStore(folder / "a.sqlite3"), time.time)
        sizes: list[int] = []
        started = Started(runtime, image, options.replicas)
        sampler = Sampler("bench", 1, started, lambda _: True, seconds=seconds)
        with started.up():
            sampler.sample(monotonic=time.monotonic(), now=time.time())
            costs = []
            for _ in range(options.looks):
                time.sleep(0.2)
                before = spent()
                report = sampler.sample(monotonic=time.monotonic(), now=time.time())
                sizes.append(len(json.dumps(mailbox.sign_metrics(to_wire(report)))))
                costs.append(spent() - before)
    median, worst = statistics.median(costs), max(costs)
    measured = len(report.replicas)
    print(
        f"{measured} of {options.replicas} {options.runtime} replicas: {median * 1000:.1f} ms a "
        f"look (worst {worst * 1000:.1f}), {max(sizes) / 1024:.1f} KiB a message; every "
        f"{seconds:g} s that is {median / seconds:.2%} of a core"
    )


if __name__ == "__main__":
    main()

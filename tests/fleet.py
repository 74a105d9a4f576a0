"""A control plane and nodes on machines of their own, which join it as people have them join."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import docker
import redis

from tests import docker_engine, network
from tests.network import Machine, Network
from tests.stack import ROOT, Stack, free_port
from worker import labels

# Set for speed: lost after no more than four seconds.
LIVENESS = {"KIJABI_PING_SECONDS": "0.5", "KIJABI_SUSPECT_SECONDS": "1.5"}
LOST_SECONDS = 3.5
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  template:
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: {image}
        command: ["sh", "-c", "{command}"]
{more}
"""


@dataclass
class NodeMachine:
    """A machine and the node worker on it, in a state folder of its own."""

    name: str
    home: Path
    machine: Machine
    env: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    log: IO[bytes] | None = None

    def run(self, *words: str) -> None:
        """Run `manage.py` there and leave it running."""
        self.log = self.log or (self.home.parent / f"{self.name}.log").open("ab")
        self.process = subprocess.Popen(
            self.machine.words([sys.executable, "manage.py", *words]),
            cwd=ROOT,
            env=self.env,
            stdout=self.log,
            stderr=self.log,
        )

    def start(self) -> None:
        """Start the node again."""
        self.run("node", "--runtime", "docker")

    @property
    def worker_pid(self) -> int:
        """Return the pid of the worker, a child of the supervisor."""
        assert self.process is not None
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())

    def kill(self) -> None:
        """Kill -9 the worker and its supervisor."""
        assert self.process is not None
        worker = self.worker_pid
        self.process.kill()
        self.process.wait()
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            return  # The kernel was quicker: it ends a child with its supervisor.

    def close(self) -> None:
        """End it in order; its containers run on."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        if self.log is not None:
            self.log.close()


@dataclass
class Fleet:
    """A control plane without a node of its own, and nodes on the one engine they share."""

    stack: Stack
    network: Network
    nodes: dict[str, NodeMachine] = field(default_factory=dict)
    marked: int = 0

    def add(self, name: str) -> NodeMachine:
        """Have another machine join with a token and run a node."""
        home = self.stack.home.parent / name
        env = self.stack.env | {"KIJABI_HOME": str(home)}
        node = NodeMachine(name=name, home=home, machine=self.network.add(), env=env)
        self.nodes[name] = node
        node.run(*self.stack.join_words(), "--name", name, "--runtime", "docker")
        return node

    @property
    def cluster(self) -> str:
        """Return what every container of ours is labelled with."""
        return (self.stack.home / "cluster-id").read_text().strip()

    def states(self) -> dict[str, str]:
        """Return what the control plane believes of each node."""
        return {row["name"]: row["state"] for row in self.stack.api("nodes/")["results"]}

    def await_states(self, seconds: float = 45, **wanted: str) -> None:
        """Wait until the named nodes are in these states."""
        self.stack.wait_for(lambda: wanted.items() <= self.states().items(), seconds)

    def apply(
        self, name: str, *, replicas: int, command: str = "sleep 900", more: str = ""
    ) -> None:
        """Make a deployment."""
        words = {"name": name, "replicas": replicas, "command": command, "more": more}
        text = MANIFEST.format(image=docker_engine.IMAGE, **words)
        self.stack.run("apply", "-f", "-", text=text)

    def containers(self, node: str = "", *, also_ended: bool = False) -> dict[str, str]:
        """Return names and ids of what the engine runs for us, for one node or for all."""
        wanted = [f"{labels.CLUSTER}={self.cluster}", *([f"{labels.NODE}={node}"] if node else [])]
        client = docker.APIClient()
        try:
            rows = client.containers(all=also_ended, filters={"label": wanted})
        finally:
            client.close()
        return {row["Names"][0].lstrip("/"): row["Id"] for row in rows}

    def uids(self) -> set[str]:
        """Return the replicas that are ready."""
        return {row["uid"] for row in self.stack.ready()}

    def await_replaced(self, *lost: str, count: int, seconds: float = 60) -> None:
        """Wait until nodes are lost and so many replicas are ready, none of them there."""
        self.await_states(**dict.fromkeys(lost, "lost"))
        self.stack.wait_for(lambda: self._ready_besides(lost) == count, seconds)

    def _ready_besides(self, nodes: Sequence[str]) -> int:
        return sum(row["node"] not in nodes for row in self.stack.ready())

    def kill_container(self, node: str) -> None:
        """Kill what a node runs, and wait until the node by itself has started it again."""
        ((name, before),) = self.containers(node).items()
        subprocess.run(["docker", "kill", before], capture_output=True, check=True)
        self.stack.wait_for(lambda: self.containers(node).get(name, before) != before)

    def is_whole(self, count: int) -> bool:
        """Tell whether so many replicas are ready, and nothing else runs, waits or lies about."""
        rows = self.stack.replicas()
        expected = {f"kijabi-{row['uid']}-1" for row in rows if row["ready"]}
        found = set(self.containers(also_ended=True))
        return len(rows) == len(expected) == count and expected == found == set(self.containers())

    def forbid(self, node: NodeMachine, command: str) -> None:
        """Take a command at the broker from a node, which must connect anew."""
        with self.broker() as broker:
            broker.execute_command("ACL", "SETUSER", f"node-{node.name}", f"-{command}")
            broker.execute_command("CLIENT", "KILL", "USER", f"node-{node.name}")

    def allow(self, node: NodeMachine, command: str) -> None:
        """Give a command back."""
        with self.broker() as broker:
            broker.execute_command("ACL", "SETUSER", f"node-{node.name}", f"+{command}")

    def broker(self) -> redis.Redis:
        """Return a connection to the broker that may do anything."""
        return redis.Redis.from_url((self.stack.home / "run/broker-url").read_text())

    def mark(self) -> None:
        """Have `reasons` begin after what has happened so far."""
        self.marked = self._events()[0]["id"]

    def reasons(self) -> list[str]:
        """Return the reasons of events since the mark, oldest first."""
        return [row["reason"] for row in reversed(self._events()) if row["id"] > self.marked]

    def _events(self) -> list[dict[str, Any]]:
        return list(self.stack.api("events/?limit=200")["results"])

    def close(self) -> None:
        """End everything; the network removes what is left."""
        for node in self.nodes.values():
            node.machine.heal()
            node.close()
        self.stack.end()


@contextmanager
def running(
    folder: Path, *names: str, lost_seconds: float | None = LOST_SECONDS
) -> Iterator[Fleet]:
    """Yield a fleet whose nodes have joined; without seconds, all times are the defaults."""
    times = LIVENESS | {"KIJABI_LOST_SECONDS": str(lost_seconds)} if lost_seconds else {}
    docker_engine.make_image()
    with network.network() as made:
        stack = Stack(
            folder / "home", free_port(), "docker", host=made.address, node="", extra=times
        )
        fleet = Fleet(stack, made)
        try:
            stack.start()
            label = f"label={labels.CLUSTER}={fleet.cluster}"
            made.at_end(f"docker ps -aq --filter {label} | xargs -r docker rm -f >/dev/null")
            for name in names:
                fleet.add(name)
            fleet.await_states(40, **dict.fromkeys(names, "ready"))
            yield fleet
        finally:
            fleet.close()

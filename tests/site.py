"""A control plane and two nodes of this machine with gateways, and a site that clients ask."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.open_load import Way
from tests.stack import ROOT, Stack, free_port
from worker.gateway import caddy
from worker.runtimes import docker_client
from worker.runtimes.docker import socket_url

IMAGE = "kijabi-test/caddy:1"
PATIENCE_SECONDS = 300
HOST, BODY = "load.test", "hello"
# It keeps connections, and when it is to end it says so with each answer before it closes them, as
# a server should.
SERVER: dict[str, Any] = {
    "admin": {"disabled": True},
    "logging": {"logs": {"default": {"level": "ERROR"}}},
    "apps": {
        "http": {
            "shutdown_delay": "1s",
            "grace_period": "5s",
            "servers": {
                "site": {
                    "listen": [":80"],
                    "protocols": ["h1"],
                    "automatic_https": {"disable": True},
                    "routes": [
                        {
                            "match": [{"vars": {"{http.shutting_down}": ["true"]}}],
                            "handle": [
                                {
                                    "handler": "headers",
                                    "response": {"set": {"Connection": ["close"]}},
                                }
                            ],
                        },
                        {"handle": [{"handler": "static_response", "body": BODY}]},
                    ],
                }
            },
        }
    },
}
MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: site, annotations: {{kijabi.dev/drain-seconds: "{drain_seconds}"}}}}
spec:
  replicas: {replicas}
  template:
    metadata: {{labels: {{app: site}}}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: main
        image: {image}
        command: [/caddy, run, --config, /server.json]
        env: [{{name: VERSION, value: "{version}"}}]
        ports: [{{containerPort: 80}}]
        readinessProbe: {{httpGet: {{port: 80}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: site}}
spec: {{selector: {{app: site}}, ports: [{{port: 80}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: site}}
spec:
  rules:
  - host: {host}
    http:
      paths:
      - {{path: /, pathType: Prefix, backend: {{service: {{name: site, port: {{number: 80}}}}}}}}
"""


def make_image() -> None:
    """Import the server as an image, unless it is there already."""
    with closing(docker_client.client(socket_url(), timeout=60)) as client:
        if not client.images(IMAGE):
            client.import_image_from_data(_root(), *IMAGE.split(":"))


def _root() -> bytes:
    buffer = io.BytesIO()
    config = json.dumps(SERVER).encode()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(caddy.find() or "", "caddy")
        file = tarfile.TarInfo("server.json")
        file.size = len(config)
        tar.addfile(file, io.BytesIO(config))
        for name in ("tmp", "proc", "sys", "dev", "etc"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
            tar.addfile(folder)
    return buffer.getvalue()


@dataclass
class LocalNode:
    """One `manage.py node` of this machine; it ends with us."""

    name: str
    stack: Stack
    http_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it until `end`."""
        words = [sys.executable, "manage.py", "node", "--name", self.name, "--runtime", "docker"]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *words],
            cwd=ROOT,
            env=self.stack.env | {"KIJABI_HTTP_PORT": str(self.http_port)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self) -> None:
        """End it in order; its containers and its gateway go on."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)

    def agent_pid(self) -> int:
        """Return the pid of the agent, the only child of its supervisor; 0 while there is none."""
        assert self.process is not None
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else 0

    def caddy_pid(self) -> int:
        """Return the pid of its HTTP gateway."""
        record = self.stack.home / "nodes" / self.name / "gateway" / "caddy.pid"
        return int(json.loads(record.read_text())[0])

    def kill_agent(self) -> None:
        """Kill -9 the agent, and wait until another routes in its place."""
        # Written when its HTTP gateway may ask it, also if it is the port of before.
        asked = self.stack.home / "nodes" / self.name / "gateway" / "dns-port"
        before = asked.stat().st_mtime_ns
        os.kill(self.agent_pid(), signal.SIGKILL)
        self.stack.wait_for(lambda: asked.stat().st_mtime_ns != before, PATIENCE_SECONDS)

    def kill_caddy(self) -> None:
        """Kill -9 the HTTP gateway, and wait until another has taken its place."""
        before = self.caddy_pid()
        os.kill(before, signal.SIGKILL)
        self.stack.wait_for(lambda: self.caddy_pid() != before)


@dataclass
class Site:
    """So many replicas behind a service and an ingress on both nodes."""

    stack: Stack
    nodes: list[LocalNode]
    count: int
    drain_seconds: int = 30
    version: int = 0

    def update(self) -> None:
        """Bring every replica to a new version."""
        self.version += 1
        text = MANIFESTS.format(
            image=IMAGE,
            host=HOST,
            replicas=self.count,
            version=self.version,
            drain_seconds=self.drain_seconds,
        )
        self.stack.run("apply", "-f", "-", text=text)
        self.settle()

    def roll_back(self) -> None:
        """Return every replica to the version before."""
        self.stack.run("rollout", "undo", "deployment/site")
        self.settle()

    def scale(self, count: int) -> None:
        """Have so many replicas."""
        self.stack.run("scale", "deployment/site", "--replicas", str(count))
        self.settle(count)

    def drain(self, node: LocalNode) -> None:
        """Move everything off a node, then open it again."""
        self.stack.run("drain", node.name, "--no-wait")
        path = f"nodes/{node.name}/drain/"
        self.stack.wait_for(
            lambda: self.stack.api(path)["drained_at"], PATIENCE_SECONDS, every=0.25
        )
        self.stack.run("uncordon", node.name)
        self.settle()

    def end_one(self) -> None:
        """Have one replica end in order and be replaced."""
        uid = self.stack.ready()[0]["uid"]
        self.stack.run("delete", "replica", uid)
        self.settle(gone=uid)

    def kill_one(self) -> None:
        """Kill -9 what one replica runs, and wait until its node has started it again."""
        uid = self.stack.ready()[0]["uid"]
        before = _container_pid(uid)
        os.kill(before, signal.SIGKILL)
        self.stack.wait_for(lambda: _container_pid(uid) not in {0, before})
        self.settle()

    def be_away(self, seconds: float, *, with_agents: bool = False) -> None:
        """Stop the control plane for so long."""
        agents = self.nodes if with_agents else []
        for node in agents:
            node.end()
        self.stack.end()
        time.sleep(seconds)
        self.stack.start()
        for node in agents:
            node.start()
        self.await_nodes()
        self.settle()

    def await_nodes(self) -> None:
        """Wait until the control plane hears every node."""
        names = {node.name for node in self.nodes}
        self.stack.wait_for(lambda: self._ready_nodes() == names, PATIENCE_SECONDS)

    def _ready_nodes(self) -> set[str]:
        rows = self.stack.api("nodes/")["results"]
        return {row["name"] for row in rows if row["state"] == "ready"}

    def settle(self, count: int | None = None, *, gone: str = "") -> None:
        """Wait until so many replicas are there, all of one version, all serving, and no others."""
        wanted = self.count if count is None else count
        # Each look is three requests of the control plane, which runs beside what is measured.
        self.stack.wait_for(lambda: self._is_settled(wanted, gone), PATIENCE_SECONDS, every=0.25)

    def _is_settled(self, count: int, gone: str) -> bool:
        rows = self.stack.replicas()
        (route,) = self.stack.api("routes/")["results"]
        standings = [one["standing"] for one in route["endpoints"]]
        deployment = self.stack.api("namespaces/default/deployments/site/")
        return (
            len(rows) == count == standings.count("serving")
            and all(row["ready"] for row in rows)
            and len({row["revision"] for row in rows} | {deployment["status"]["revision"]}) == 1
            and not route["unconfirmed"]
            and all(row["uid"] != gone for row in rows)
        )

    def ways(self, *, life_seconds: float = 5) -> list[Way]:
        """Return how clients reach it, half by the kernel and half by the HTTP gateways."""
        (route,) = self.stack.api("routes/")["results"]
        kernel = [("service", str(route["addresses"][0]), 80)]
        gateways = [(f"ingress {node.name}", "127.0.0.1", node.http_port) for node in self.nodes]
        return [
            Way(
                name=f"{name}{', kept' if keeps else ''}",
                address=address,
                port=port,
                host=HOST,
                body=BODY,
                keeps=keeps,
                life_seconds=life_seconds,
            )
            for name, address, port in (*kernel, *kernel, *gateways)
            for keeps in (False, True)
        ]


def _container_pid(uid: str) -> int:
    """Return the pid of the program in a replica's container; 0 while there is none."""
    with closing(docker_client.client(socket_url(), timeout=10)) as client:
        rows = client.containers(filters={"name": f"kijabi-{uid}-"})
        found = [client.inspect_container(row["Id"])["State"]["Pid"] for row in rows]
    return int(found[0]) if found else 0


@contextmanager
def running(folder: Path, *, count: int, drain_seconds: int = 30) -> Iterator[Site]:
    """Yield a site that serves; nothing is left of it afterwards."""
    make_image()
    stack = Stack(folder / "home", free_port(), "docker", node="", extra={"KIJABI_GATEWAY": "on"})
    site = Site(stack, [], count, drain_seconds)
    stack.start()
    try:
        for name in ("a", "b"):
            site.nodes.append(LocalNode(name, stack))
            site.nodes[-1].start()
        site.await_nodes()
        site.update()
        yield site
    finally:
        for node in site.nodes:
            node.end()
        stack.end()
        stack.run("down")

"""A whole node with its gateway, on a real engine: from a letter with routes to an answer."""

from __future__ import annotations

import ctypes
import http.client
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import docker
import pytest

from tests import docker_engine, networks
from tests.conftest import require_or_skip
from tests.contract.conftest import wait_for
from tests.letters import an_identity, letter_to, report_in
from worker import app as composition
from worker import protocol, routes, tasks
from worker.app import Node
from worker.config import WorkerConfig
from worker.gateway import assembly
from worker.gateway.discovery import address_for
from worker.labels import Owner
from worker.protocol import ContainerSpec, Port, ReplicaSpec, StartJob
from worker.routes import Endpoint, HttpRoute, IngressRoutes, RoutingTable, ServicePort
from worker.runtimes.docker import DockerRuntime

pytestmark = [pytest.mark.docker, pytest.mark.nftables, pytest.mark.xdist_group("networks")]
SERVICE = "10.97.214.7"
SERVER = "mkdir /tmp/w; echo $KIJABI_REPLICA > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"
until = partial(wait_for, seconds=20.0)


class Site:
    """A node that is started and told what to do as the control plane does it."""

    def __init__(self, home: Path) -> None:
        self.reports: list[dict[str, object]] = []
        cluster = f"test-{uuid.uuid4().hex[:8]}"
        self.owner = Owner(cluster=cluster, node="n1")
        self.identity = an_identity(cluster=cluster)
        self.config = WorkerConfig(
            node="n1", cluster=cluster, home=home, runtime="docker", gateway=True
        )
        self.generation = 0
        self.node = self.start()

    def start(self) -> Node:
        runtimes = composition.choose_runtimes(self.config)
        node = composition.build(self.config, self.identity, runtimes, self._take)
        composition.install(node)
        node.start()
        return node

    def send(self, task: Callable[..., None], name: str, **arguments: object) -> None:
        task(envelope=letter_to(self.identity, name, **arguments))

    def run(self, uid: str) -> None:
        """Start a replica and wait until it is ready."""
        container = ContainerSpec(
            name="c",
            image=docker_engine.IMAGE,
            command=("sh", "-c", SERVER),
            ports=(Port(container_port=8080),),
        )
        spec = ReplicaSpec(
            uid=uid,
            epoch=1,
            namespace="default",
            deployment="web",
            revision=1,
            slot=0,
            containers=(container,),
        )
        job = protocol.to_wire(StartJob(uid=f"j-{uid}", replica=spec))
        self.send(tasks.start_containers, protocol.START_TASK, jobs=[job])
        until(lambda: any(s.uid == uid and s.ready for s in self.node.agent.statuses()))

    def address(self, uid: str) -> str:
        return next(s.address for s in self.node.agent.statuses() if s.uid == uid)

    def route(self, *uids: str, draining: tuple[str, ...] = ()) -> None:
        """Send a table with these endpoints and wait for its confirmation."""
        self.generation += 1
        ends = tuple(
            Endpoint(
                replica=uid,
                node="n1",
                address=self.address(uid),
                port=8080,
                draining=uid in draining,
            )
            for uid in (*uids, *draining)
        )
        port = ServicePort(port=80, endpoints=ends)
        web = routes.ServiceRoutes(
            namespace="default", name="web", addresses=(SERVICE,), ports=(port,)
        )
        route = HttpRoute(host="web.example", service="web", port=80)
        edge = IngressRoutes(namespace="default", name="edge", routes=(route,))
        table = RoutingTable(generation=self.generation, services=(web,), ingresses=(edge,))
        self.send(tasks.set_routes, routes.ROUTE_TASK, table=protocol.to_wire(table))
        until(lambda: self.confirmed() == self.generation)

    def confirmed(self) -> int:
        told = [r["routing"]["generation"] for r in self.reports if "routing" in r]
        return max(told, default=0)

    def web_port(self) -> int:
        text = (self.config.state_dir / "gateway/ports.json").read_text()
        return int(text.strip("[]").split(",")[0])

    def leave(self) -> None:
        """End the agent; what it keeps runs on."""
        self.node.close()
        engine = self.node.agent.runtimes["docker"]
        assert isinstance(engine, DockerRuntime)
        engine.close()

    def close(self) -> None:
        for status in self.node.agent.statuses():
            self.node.agent.runtimes["docker"].remove(f"kijabi-{status.uid}-1")
        self.leave()
        assert assembly.remove(self.config) == ""

    def _take(self, task: str, envelope: dict[str, str]) -> bool:
        if task == protocol.REPORT_TASK:
            self.reports.append(report_in(envelope))
        return True


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    if why := docker_engine.why_missing() or networks.why_missing():
        require_or_skip("docker", why)
    docker_engine.make_image()
    before = set(threading.enumerate())
    made = Site(tmp_path)
    yield made
    made.close()
    composition._installed.clear()
    del made
    _let_go(before)


def _let_go(before: set[threading.Thread]) -> None:
    """Wait for the agent's threads."""
    until(lambda: not set(threading.enumerate()) - before)


def get(host: str, port: int = 80, name: str = "") -> str:
    with closing(http.client.HTTPConnection(host, port, timeout=5)) as client:
        client.request("GET", "/", headers={"Host": name or host})
        answer = client.getresponse()
        text = answer.read().decode().strip()
        return text if answer.status == 200 else str(answer.status)


def test_a_service_and_an_ingress_lead_to_the_replicas_that_run(site: Site):
    site.run("one")
    site.run("two")

    site.route("one", "two")

    assert {get(SERVICE) for _ in range(20)} == {"one", "two"}
    assert {get("127.0.0.1", site.web_port(), "web.example") for _ in range(20)} == {"one", "two"}


def test_what_drains_is_left_alone_and_then_told_as_free(site: Site):
    site.run("one")
    site.run("two")
    site.route("one", "two")

    site.route("one", draining=("two",))

    assert {get(SERVICE) for _ in range(20)} == {"one"}
    until(lambda: not site.node.gateway.status.busy)


def test_a_killed_replica_leaves_rotation_without_the_control_plane(site: Site):
    site.run("one")
    site.run("two")
    site.route("one", "two")

    with closing(docker.from_env()) as engine:
        engine.containers.get("kijabi-two-1").kill()
    began = time.monotonic()
    until(lambda: len(site.node.gateway._view.services["default/web"].ports[0].targets) == 1)
    took = time.monotonic() - began

    assert took < 0.5
    assert {get("127.0.0.1", site.web_port(), "web.example") for _ in range(10)} == {"one"}
    until(lambda: {get(SERVICE) for _ in range(20)} == {"one", "two"})


def test_a_restarted_agent_routes_within_a_second_before_it_hears_anything(site: Site):
    site.run("one")
    site.route("one")
    site.leave()
    began = time.monotonic()

    site.node = site.start()
    until(lambda: answers(site))

    assert time.monotonic() - began < 2
    assert get(SERVICE) == "one"


def answers(site: Site) -> bool:
    try:
        return get("127.0.0.1", site.web_port(), "web.example") == "one"
    except OSError:
        return False


def test_containers_find_services_by_name(site: Site):
    site.run("one")
    site.route("one")
    with closing(docker.from_env()) as engine:
        container = engine.containers.get("kijabi-one-1")
        written = container.exec_run(["cat", "/etc/resolv.conf"]).output.decode()
        pid = container.attrs["State"]["Pid"]

    server = address_for(site.owner)
    names = ["web.default.svc.cluster.local", "web.default"]
    found = [inside(pid, lambda n=n: resolve(server, n)) for n in names]

    assert f"nameserver {server}" in written
    assert "search default.svc.cluster.local svc.cluster.local cluster.local" in written
    assert found == [SERVICE, SERVICE]


def resolve(server: str, name: str) -> str:
    """Ask as a resolver does, which asks again for a datagram that is lost."""
    for _ in range(5):
        with suppress(dns.exception.Timeout):
            answer = dns.query.udp(dns.message.make_query(name, "A"), server, timeout=2)
            return str(answer.answer[0][0])
    raise AssertionError(f"nobody at {server} answers for {name}")


def inside(pid: int, act: Callable[[], str]) -> str:
    """Run something in a container's network."""

    def run() -> str:
        with Path(f"/proc/{pid}/ns/net").open() as place:
            assert ctypes.CDLL(None).setns(place.fileno(), 0x40000000) == 0
        return act()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()

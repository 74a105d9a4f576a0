"""Routes to real containers, past the rules that a real Docker Engine has made."""

from __future__ import annotations

import subprocess
import time
import uuid
from collections.abc import Iterator

import docker
import pytest

from tests import docker_engine, networks
from tests.conftest import require_or_skip
from worker.gateway.kernel import Kernel
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.rotation import View
from worker.labels import Owner

pytestmark = [pytest.mark.docker, pytest.mark.nftables, pytest.mark.xdist_group("networks")]
SERVICE, NODE_PORT = "10.97.213.7", 32713
VISITOR, DOOR = "10.98.213.2", "10.98.213.1"
# Not wget: busybox made static by Debian falls over when it looks a host up.
REQUEST = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | {program} -w 3 {host} {port}"
SERVER = "mkdir /tmp/w; echo $HOSTNAME > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"


class Engine:
    """Containers of this test on the engine's own bridge."""

    def __init__(self) -> None:
        self._client = docker.from_env()
        self._made: list[docker.models.containers.Container] = []

    def start(self, name: str) -> str:
        """Start a server that answers with its name; return its address."""
        made = self._client.containers.run(
            docker_engine.IMAGE, ["sh", "-c", SERVER], hostname=name, detach=True
        )
        self._made.append(made)
        made.reload()
        return str(made.attrs["NetworkSettings"]["IPAddress"])

    def fetch(self, number: int, host: str, port: int = 80) -> str:
        """Return what one of the containers is answered; empty when it is not."""
        done = self._made[number].exec_run(
            ["sh", "-c", REQUEST.format(program="nc", host=host, port=port)]
        )
        return body_of(done.output.decode())

    def close(self) -> None:
        """Remove everything."""
        for made in self._made:
            made.remove(force=True)
        self._client.close()


@pytest.fixture
def engine() -> Iterator[Engine]:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    if why := networks.why_missing():
        require_or_skip("nftables", why)
    docker_engine.make_image()
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    made = Kernel(Owner(cluster=f"test-{uuid.uuid4().hex[:8]}", node="n1"))
    yield made
    made.close()
    made.remove()


@pytest.fixture
def visitor() -> Iterator[str]:
    """A machine outside: a network namespace with one way to this one."""
    name = f"kjt-{uuid.uuid4().hex[:8]}"
    end = name.replace("kjt-", "kj")
    script = f"""
        ip netns add {name}
        ip link add {end} type veth peer name eth0 netns {name}
        ip addr add {DOOR}/30 dev {end} && ip link set {end} up
        ip -n {name} addr add {VISITOR}/30 dev eth0 && ip -n {name} link set eth0 up
    """
    subprocess.run(["sh", "-ec", script], check=True)
    yield name
    subprocess.run(["ip", "netns", "delete", name], check=True)


def a_view(*addresses: str, homes: dict[str, str] | None = None) -> View:
    ends = tuple(Target(replica=a, address=a, port=8080) for a in addresses)
    port = LivePort(port=80, node_port=NODE_PORT, targets=ends)
    web = LiveService(namespace="default", name="web", addresses=(SERVICE,), ports=(port,))
    known = homes or dict.fromkeys(addresses, "default")
    return View(generation=1, services={"default/web": web}, homes=known)


def put(kernel: Kernel, view: View) -> None:
    kernel.carry_out(view)
    kernel.settle(view)


def fetch(host: str, port: int, *before: str) -> str:
    script = REQUEST.format(program="busybox nc", host=host, port=port)
    words = [*before, "sh", "-c", script]
    return body_of(subprocess.run(words, check=False, capture_output=True, text=True).stdout)


def body_of(answer: str) -> str:
    return answer.replace("\r", "").partition("\n\n")[2].strip()


def until_served(address: str) -> None:
    for _ in range(50):
        if fetch(address, 8080):
            return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens at {address}")


def test_a_service_is_reached_from_the_node_from_containers_and_from_itself(
    engine: Engine, kernel: Kernel
):
    address = engine.start("web")
    engine.start("client")
    until_served(address)

    put(kernel, a_view(address))

    seen = [fetch(SERVICE, 80), engine.fetch(1, SERVICE), engine.fetch(0, SERVICE)]
    assert seen == ["web"] * 3


def test_a_node_port_is_reached_from_other_machines_past_docker_s_firewall(
    engine: Engine, kernel: Kernel, visitor: str
):
    address = engine.start("web")
    until_served(address)
    put(kernel, a_view(address))

    seen = [
        fetch(DOOR, NODE_PORT, "ip", "netns", "exec", visitor),
        fetch("127.0.0.1", NODE_PORT),
    ]

    assert seen == ["web", "web"]


def test_namespaces_are_kept_apart_on_the_engine_s_bridge(engine: Engine, kernel: Kernel):
    blue, red = engine.start("blue"), engine.start("red")
    until_served(blue)
    put(kernel, a_view(blue, homes={blue: "blue", red: "red"}))

    assert engine.fetch(1, blue, 8080) == ""
    assert engine.fetch(1, SERVICE) == "blue"


def test_what_docker_published_itself_is_left_alone(engine: Engine, kernel: Kernel):
    before = docker_rules()

    put(kernel, a_view(engine.start("web")))
    kernel.remove()

    assert docker_rules() == before


def docker_rules() -> list[str]:
    saved = subprocess.run(["iptables-save"], check=True, capture_output=True, text=True).stdout
    return sorted(line for line in saved.splitlines() if line.startswith("-A"))

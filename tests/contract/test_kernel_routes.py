"""The kernel itself carries connections as the routes say, in network namespaces of our own."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests import networks
from tests.conftest import require_or_skip
from tests.networks import NODE, NODE_ADDRESS, OUTSIDE, OUTSIDE_ADDRESS, Network
from worker.gateway import nft_library, nftables
from worker.gateway.kernel import Kernel
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.rotation import View
from worker.labels import Owner

pytestmark = [pytest.mark.nftables, pytest.mark.xdist_group("networks")]
OWNER = Owner(cluster="c", node="n1")
SERVICE = "10.97.0.1"


@pytest.fixture(scope="module")
def net() -> Iterator[Network]:
    if why := networks.why_missing():
        require_or_skip("nftables", why)
    with networks.network() as made:
        for container in made.containers:
            made.serve(container)
            made.serve(container, datagrams=True)
        yield made


@pytest.fixture
def kernel(net: Network) -> Iterator[Kernel]:
    made = net.inside(NODE, lambda: Kernel(OWNER))
    yield made
    net.inside(NODE, made.close)
    net.inside(NODE, made.remove)


def targets(net: Network, *containers: str) -> tuple[Target, ...]:
    return tuple(Target(replica=c, address=net.address(c), port=8080) for c in containers)


def a_port(*ends: Target, **fields) -> LivePort:
    return LivePort(**{"port": 80, "node_port": 30080, "targets": ends} | fields)


def a_view(*ports: LivePort, **fields) -> View:
    values = {"namespace": "default", "name": "web", "addresses": (SERVICE,)} | fields
    return View(generation=1, services={"default/web": LiveService(**values, ports=ports)})


def put(net: Network, kernel: Kernel, view: View) -> None:
    def act() -> None:
        kernel.carry_out(view)
        kernel.settle(view)

    net.inside(NODE, act)


def answers(net: Network, client: str, host: str, port: int, times: int = 40) -> Counter[str]:
    return net.inside(client, lambda: Counter(networks.ask(host, port) for _ in range(times)))


@pytest.mark.parametrize("client", [NODE, OUTSIDE, "c4"])
def test_new_connections_are_spread_over_all_endpoints(net: Network, kernel: Kernel, client: str):
    put(net, kernel, a_view(a_port(*targets(net, "c2", "c3"))))

    seen = answers(net, client, SERVICE, 80)

    assert {text.split()[0] for text in seen} == {"c2", "c3"}
    assert min(seen.values()) > 5


@pytest.mark.parametrize(
    ("client", "host", "port", "address"),
    [
        pytest.param("c4", SERVICE, 80, "10.5.0.4", id="container-to-service"),
        pytest.param(OUTSIDE, NODE_ADDRESS, 30080, OUTSIDE_ADDRESS, id="outside-to-node-port"),
        pytest.param(NODE, NODE_ADDRESS, 30080, NODE_ADDRESS, id="node-to-its-own-node-port"),
        pytest.param("c2", SERVICE, 80, networks.GATEWAY, id="a-replica-to-itself-hides"),
    ],
)
def test_the_client_s_address_is_kept_unless_it_calls_itself(
    net: Network, kernel: Kernel, client: str, host: str, port: int, address: str
):
    view = a_view(a_port(*targets(net, "c2")))
    put(net, kernel, replace(view, homes={"10.5.0.2": "default"}))

    assert net.call(client, host, port) == f"c2 {address}"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_node_port_is_reached_on_the_loopback(net: Network, kernel: Kernel, host: str):
    put(net, kernel, a_view(a_port(*targets(net, "c2"))))

    assert net.call(NODE, host, 30080).startswith("c2 ")


def test_ipv6_services_reach_their_ipv6_endpoints(net: Network, kernel: Kernel):
    end = Target(replica="r", address="fd05::2", port=8080)
    put(net, kernel, a_view(a_port(end), addresses=("fd97::1",)))

    seen = [net.call(client, "fd97::1", 80) for client in ("c3", NODE)]

    assert seen == ["c2 fd05::3", "c2 fd06::1"]


def test_a_service_without_endpoints_refuses_at_once(net: Network, kernel: Kernel):
    put(net, kernel, a_view(a_port()))

    seen = [net.call(client, SERVICE, 80) for client in (NODE, "c2", OUTSIDE)]

    assert seen == ["ConnectionRefusedError"] * 3


def test_an_established_connection_outlives_its_route(net: Network, kernel: Kernel):
    put(net, kernel, a_view(a_port(*targets(net, "c2"))))
    client = net.inside("c4", lambda: socket.create_connection((SERVICE, 80), 2))
    first = client.recv(100)

    put(net, kernel, a_view(a_port(*targets(net, "c3"))))
    client.sendall(b"?")

    assert client.recv(100) == first
    assert net.call("c4", SERVICE, 80).startswith("c3 ")
    client.close()


def test_datagrams_go_elsewhere_as_soon_as_their_endpoint_is_gone(net: Network, kernel: Kernel):
    put(net, kernel, a_view(a_port(*targets(net, "c2"), protocol="udp", node_port=None)))
    with net.inside("c4", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        client.settimeout(2)
        client.connect((SERVICE, 80))
        client.send(b"?")
        before = client.recv(100)

        put(net, kernel, a_view(a_port(*targets(net, "c3"), protocol="udp", node_port=None)))
        client.send(b"?")
        after = client.recv(100)

    assert (before.split()[0], after.split()[0]) == (b"c2", b"c3")


def test_a_connection_that_nobody_accepted_yet_goes_to_another_when_its_endpoint_is_gone(
    net: Network, kernel: Kernel
):
    nobody = Target(replica="dead", address="10.5.0.99", port=8080)
    put(net, kernel, a_view(a_port(nobody)))
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(call_slowly(net)))
    caller.start()
    time.sleep(0.3)

    put(net, kernel, a_view(a_port(*targets(net, "c2"))))
    caller.join()

    assert answers == ["c2 10.5.0.4"]


def call_slowly(net: Network) -> str:
    def act() -> str:
        with socket.create_connection((SERVICE, 80), 10) as client:
            return client.recv(100).decode()

    return net.inside("c4", act)


def test_one_client_stays_with_one_endpoint_also_while_others_come(net: Network, kernel: Kernel):
    port = a_port(*targets(net, "c2", "c3"))
    put(net, kernel, a_view(port, affinity_seconds=60))
    before = answers(net, "c4", SERVICE, 80, 10)

    more = replace(port, targets=targets(net, "c2", "c3", "c4"))
    put(net, kernel, a_view(more, affinity_seconds=60))
    after = answers(net, "c4", SERVICE, 80, 10)

    assert len(before) == 1
    assert after == before


@pytest.mark.parametrize(("peer", "answer"), [(OUTSIDE_ADDRESS, "c2"), ("10.9.9.9", "Connection")])
def test_a_relay_port_is_for_other_nodes_only(net: Network, kernel: Kernel, peer: str, answer: str):
    (end,) = targets(net, "c2")
    view = a_view(a_port(end, relays=((20001, end),)))
    put(net, kernel, replace(view, peers=(peer,)))

    assert net.call(OUTSIDE, NODE_ADDRESS, 20001).startswith(answer)


def test_a_replica_of_another_node_is_reached_through_its_relay(net: Network, kernel: Kernel):
    net.serve(OUTSIDE, 20001)
    far = Target(replica="far", address=OUTSIDE_ADDRESS, port=20001, is_remote=True)
    put(net, kernel, a_view(a_port(far)))

    seen = [net.call(client, SERVICE, 80) for client in (NODE, "c2")]

    assert seen == [f"outside {NODE_ADDRESS}"] * 2


def test_replicas_of_other_namespaces_are_reached_through_services_only(
    net: Network, kernel: Kernel
):
    homes = {"10.5.0.2": "blue", "10.5.0.3": "blue", "10.5.0.4": "red"}
    view = a_view(a_port(*targets(net, "c2")))
    put(net, kernel, replace(view, homes=homes))

    direct = [net.call(client, "10.5.0.2", 8080) for client in ("c3", "c4", NODE)]

    assert direct == ["c2 10.5.0.3", "ConnectionRefusedError", "c2 10.5.0.1"]
    assert net.call("c4", SERVICE, 80) == "c2 10.5.0.4"


def test_an_open_namespace_is_reached_from_all(net: Network, kernel: Kernel):
    homes = {"10.5.0.2": "blue", "10.5.0.4": "red"}
    view = View(homes=homes, open_namespaces=frozenset({"blue"}))
    put(net, kernel, view)

    seen = [net.call("c4", "10.5.0.2", 8080), net.call("c2", "10.5.0.4", 8080)]

    assert seen == ["c2 10.5.0.4", "ConnectionRefusedError"]


def test_a_draining_replica_is_busy_until_its_latest_connection_ends(net: Network, kernel: Kernel):
    ends = targets(net, "c2")
    put(net, kernel, a_view(a_port(*ends)))
    client = net.inside("c4", lambda: socket.create_connection((SERVICE, 80), 2))
    client.recv(100)
    draining = a_view(a_port(draining=ends))
    put(net, kernel, draining)

    during = net.inside(NODE, lambda: kernel.busy(draining))
    client.close()
    after = net.inside(NODE, lambda: kernel.busy(draining))

    assert (during, after) == ({"c2"}, frozenset())


def test_rules_of_others_stay_and_ours_go(net: Network, kernel: Kernel):
    net.inside(NODE, lambda: nft("add table ip theirs"))
    put(net, kernel, a_view(a_port(*targets(net, "c2"))))

    net.inside(NODE, kernel.remove)

    assert net.inside(NODE, lambda: nft("list tables")) == "table ip theirs\n"
    net.inside(NODE, lambda: nft("delete table ip theirs"))


@pytest.fixture
def blind(net: Network) -> Iterator[None]:
    """A node that does not see what passes between two containers of a bridge."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    net.inside(NODE, lambda: switch.write_text("0"))
    yield
    net.inside(NODE, lambda: switch.write_text("1"))


def test_services_work_where_bridged_packets_are_not_seen(
    net: Network, kernel: Kernel, blind: None
):
    put(net, kernel, a_view(a_port(*targets(net, "c2"))))

    seen = [net.call(client, SERVICE, 80) for client in ("c4", "c2", OUTSIDE)]

    assert seen == [f"c2 {networks.GATEWAY}"] * 2 + [f"c2 {OUTSIDE_ADDRESS}"]


def test_the_program_and_the_library_do_the_same(net: Network, monkeypatch: pytest.MonkeyPatch):
    """The rules are the same, and so is what is said of nonsense."""
    assert nft_library.load() is not None
    made = []
    for characters in (0, 10**9):
        monkeypatch.setattr(nftables, "_FEW_CHARACTERS", characters)
        kernel = net.inside(NODE, lambda: Kernel(OWNER))
        for containers in (("c2", "c3"), ("c3",), ("c2", "c3")):
            put(net, kernel, a_view(a_port(*targets(net, *containers))))
        # In no certain order, as elements are kept by their hash.
        made.append(sorted(net.inside(NODE, lambda: nft("list ruleset")).split()))
        with pytest.raises(nftables.CannotRoute) as refused:
            net.inside(NODE, lambda: nftables._run("add element inet nobody a { 1.2.3.4 }\n"))
        made.append(str(refused.value))
        net.inside(NODE, kernel.remove)

    assert made[:2] == made[2:]
    assert "pick4-2" in made[0]
    assert made[1] == "the kernel refuses rules: No such file or directory"


def test_flushed_rules_are_noticed_and_made_anew(net: Network, kernel: Kernel):
    view = a_view(a_port(*targets(net, "c2")))
    put(net, kernel, view)
    net.inside(NODE, lambda: nft("flush ruleset"))

    noticed = net.inside(NODE, kernel.check)
    put(net, kernel, view)

    assert noticed is False
    assert net.call(NODE, SERVICE, 80).startswith("c2")


def test_a_quiet_service_leaves_questions_without_an_answer_instead_of_refusing_them(
    net: Network,
):
    port = LivePort(port=53, protocol="udp", targets=(targets(net, "c2")[0],))
    far = replace(port, targets=(Target(replica="", address=networks.GATEWAY, port=9953),))
    quiet = LiveService(
        namespace="", name="dns", addresses=("169.254.7.7",), ports=(far,), quiet=True
    )
    loud = replace(quiet, addresses=("169.254.7.8",), quiet=False)
    kernel = net.inside(NODE, lambda: Kernel(OWNER, (quiet, replace(loud, name="loud"))))
    put(net, kernel, View())

    seen = [
        net.call(client, address, 53, datagram=True)
        for client in ("c2", NODE)
        for address in ("169.254.7.7", "169.254.7.8")
    ]

    assert seen == ["TimeoutError", "ConnectionRefusedError"] * 2
    net.inside(NODE, kernel.remove)


def nft(words: str) -> str:
    return subprocess.run(
        ["nft", *words.split()], check=True, capture_output=True, text=True
    ).stdout

"""What names mean, and how they are asked for: by datagrams and streams, ours and others'."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests import ended_connections
from tests.questions import ask
from worker.gateway import dns as server_module
from worker.gateway.dns import NameServer
from worker.gateway.end_names import address_of, end_name, end_of, is_route, route_name
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.names import NOTHING, Found, look_up

ENDS = tuple(Target(replica=f"r{n}", address=f"10.5.0.{n}", port=8080) for n in (2, 3))
FAR = Target(replica="far", address="10.6.0.2", port=20001, is_remote=True)


def a_service(name: str, *addresses: str, targets: tuple[Target, ...] = ENDS) -> LiveService:
    port = LivePort(port=80, name="http", targets=targets)
    return LiveService(namespace="shop", name=name, addresses=addresses, ports=(port,))


SERVICES = {
    "shop/web": a_service("web", "10.97.0.1", "fd97::1"),
    "shop/db": a_service("db", targets=(*ENDS, FAR)),
}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("web.shop.svc.cluster.local", Found(addresses=("10.97.0.1", "fd97::1"))),
        ("web.shop.svc", Found(addresses=("10.97.0.1", "fd97::1"))),
        ("web.shop", Found(addresses=("10.97.0.1", "fd97::1"))),
        ("db.shop.svc.cluster.local", Found(addresses=("10.5.0.2", "10.5.0.3"))),
        (
            "_http._tcp.web.shop.svc.cluster.local",
            Found(servers=((80, "web.shop.svc.cluster.local"),)),
        ),
        ("nothing.shop.svc.cluster.local", NOTHING),
        ("web.other.svc.cluster.local", NOTHING),
        ("web.example", None),
        ("example.org", None),
        ("web", None),
        (end_name("10.5.0.2"), Found(addresses=("10.5.0.2",))),
        ("r9.route.kijabi", None),
    ],
)
def test_a_name_means(name: str, found: Found | None):
    assert look_up(name, SERVICES) == found


@pytest.mark.parametrize("address", ["10.5.0.2", "fd05::2", "::1"])
def test_the_name_of_an_end_says_its_address(address: str):
    name = end_name(address)

    assert address_of(f"{name}.") == address
    assert end_of(f"{name}.:80") == (address, 80)


def test_the_name_of_a_route_is_told_from_others():
    told = [is_route(n) for n in (route_name("1a"), "../x.route.kijabi", ".route.kijabi", "a.b")]

    assert told == [True, False, False, False]


@pytest.fixture
def names() -> Iterator[NameServer]:
    made = NameServer("127.0.0.1")
    made.start()
    made.know_services(SERVICES)
    yield made
    made.close()


@pytest.mark.parametrize("stream", [False, True])
def test_each_kind_of_record_is_answered(names: NameServer, *, stream: bool):
    seen = [
        ask(names.port, "WEB.shop.svc.cluster.local", stream=stream),
        ask(names.port, "web.shop", "AAAA", stream=stream),
        ask(names.port, "web.shop", "TXT", stream=stream),
        ask(names.port, "_http._tcp.db.shop", "SRV", stream=stream),
    ]

    ends = sorted(f"0 1 {end.port} {end_name(end.address)}." for end in (*ENDS, FAR))
    assert seen == [["10.97.0.1"], ["fd97::1"], [], ends]


def test_a_name_follows_its_service_at_once(names: NameServer):
    before = ask(names.port, "web.shop")

    names.know_services({"shop/web": a_service("web", "10.97.0.9")})

    assert (before, ask(names.port, "web.shop")) == (["10.97.0.1"], ["10.97.0.9"])


def test_a_name_of_ours_that_nobody_has_does_not_exist(names: NameServer):
    message = dns.message.make_query("no.shop.svc.cluster.local", "A")

    answer = dns.query.udp(message, "127.0.0.1", timeout=3, port=names.port)

    assert answer.rcode() == dns.rcode.NXDOMAIN


def test_what_is_too_long_for_a_datagram_is_asked_for_by_a_stream(names: NameServer):
    many = tuple(Target(replica="r", address=f"10.5.{n}.1", port=80) for n in range(100))
    names.know_services({"shop/many": a_service("many", targets=many)})
    message = dns.message.make_query("_http._tcp.many.shop", "SRV")

    answer = dns.query.udp(message, "127.0.0.1", timeout=3, port=names.port)

    assert answer.flags & dns.flags.TC
    assert len(ask(names.port, "_http._tcp.many.shop", "SRV", stream=True)) == 100


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """The node's own resolver, which knows another name."""
    made = NameServer("127.0.0.1")
    made.start()
    made.know_services({"org/example": a_service("example", "192.0.2.80")})
    (tmp_path / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    monkeypatch.setattr(server_module, "RESOLVERS", tmp_path / "resolv.conf")
    monkeypatch.setattr(server_module, "RESOLVER_PORT", made.port)
    yield made
    made.close()


def test_many_questions_by_streams_use_up_no_ports(names: NameServer):
    for _ in range(50):
        assert ask(names.port, "web.shop", stream=True) == ["10.97.0.1"]

    ended_connections.await_none_at(names.port)


@pytest.mark.parametrize("stream", [False, True])
def test_other_names_are_asked_of_the_node_s_own_resolvers(
    names: NameServer, elsewhere: NameServer, *, stream: bool
):
    assert ask(names.port, "example.org", stream=stream) == ["192.0.2.80"]


def test_without_a_resolver_that_answers_the_failure_is_told(
    names: NameServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(server_module, "RESOLVERS", tmp_path / "none")
    message = dns.message.make_query("example.org", "A")

    answer = dns.query.udp(message, "127.0.0.1", timeout=3, port=names.port)

    assert answer.rcode() == dns.rcode.SERVFAIL


def test_what_is_no_question_at_all_harms_nobody(names: NameServer):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"\x00\x01nonsense", ("127.0.0.1", names.port))

    assert ask(names.port, "web.shop") == ["10.97.0.1"]

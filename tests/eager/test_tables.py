"""What is in the tables: hosts and certificates, other nodes' ways to a replica, and names."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.models import Event, Node, RelayPort, Replica
from orchestrator.operations import ingresses, namespaces, nodes, transport
from tests import traffic
from tests.cluster import Cluster, change, manifest
from tests.gateways import Post, PretendedGateway
from worker import protocol, routes

NOTES = '{kijabi.dev/sticky: "true", kijabi.dev/hold: "true", kijabi.dev/timeout-seconds: "90"}'
PORTS = "[{name: http, port: 80, targetPort: web}, {name: dns, port: 53, protocol: UDP}]"


def test_an_ingress_says_where_hosts_and_paths_lead(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(traffic.service() + "---" + traffic.ingress(annotations=NOTES, path="/api"))

    (route,) = gateway.ingresses["default/site"].routes

    assert route == routes.HttpRoute(
        host="web.example.com",
        path="/api",
        service="web",
        port=80,
        sticky=True,
        held=True,
        timeout_seconds=90,
    )


def test_a_certificate_comes_with_its_key(
    cluster: Cluster, post: Post, gateway: PretendedGateway, tmp_path: Path
):
    chain, key = traffic.certificate(tmp_path, "web.example.com")
    ingress = traffic.ingress(tls="[{secretName: cert}, {hosts: [b.example.com]}]")

    cluster.apply("---".join([traffic.service(), traffic.secret(chain, key), ingress]))

    found = gateway.ingresses["default/site"]
    wanted = routes.Certificate(hosts=("web.example.com",), chain=chain, key=key)
    assert (found.certificates, found.automatic_hosts) == ((wanted,), ("b.example.com",))


def test_another_certificate_reaches_the_gateways(
    cluster: Cluster, post: Post, gateway: PretendedGateway, tmp_path: Path
):
    ingress = traffic.ingress(tls="[{secretName: cert}]")
    pair = traffic.certificate(tmp_path, "web.example.com")
    cluster.apply("---".join([traffic.service(), traffic.secret(*pair), ingress]))

    renewed = traffic.certificate(tmp_path, "web.example.com")
    cluster.apply(traffic.secret(*renewed))

    (found,) = gateway.ingresses["default/site"].certificates
    assert (found.chain, found.key) == renewed


def test_a_key_is_sealed_on_its_way(
    cluster: Cluster, gateway: PretendedGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sent: list[object] = []
    monkeypatch.setattr(transport, "_run_here", lambda task, words: sent.append((task, words)))
    gateway.report()
    pair = traffic.certificate(tmp_path, "web.example.com")
    ingress = traffic.ingress(tls="[{secretName: cert}]")
    cluster.apply("---".join([traffic.service(), traffic.secret(*pair), ingress]))

    told = str([words for task, words in sent if task == routes.ROUTE_TASK])

    assert "web.example.com" in told
    assert pair[1].splitlines()[1] not in told


def test_a_deleted_ingress_is_taken_away(cluster: Cluster, post: Post, gateway: PretendedGateway):
    cluster.apply(traffic.service() + "---" + traffic.ingress())

    ingresses.STORE.delete("default", "site", change())

    assert gateway.ingresses == {}
    assert gateway.tables[-1].removed_ingresses == ("default/site",)


def test_every_node_is_a_peer_and_replicas_have_relay_ports(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    Node.objects.filter(name="n1").update(address="10.0.0.1")
    cluster.apply(traffic.service())
    cluster.apply(manifest(replicas=3))

    (port,) = gateway.services["default/web"].ports

    assert gateway.peers == ("10.0.0.1", "10.0.0.9")
    assert {one.node_address for one in port.endpoints} == {"10.0.0.1"}
    relays = {one.relay_port for one in port.endpoints}
    assert len(relays) == 3
    assert all(20000 <= relay <= 29999 for relay in relays)


def test_a_node_that_goes_is_no_peer_any_more(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    gone = PretendedGateway("g2")
    gone.report(address="10.0.0.7")
    cluster.apply(traffic.service())
    assert "10.0.0.7" in gateway.peers
    Node.objects.filter(name="g2").update(state="lost")

    nodes.forget("g2", change())

    assert "10.0.0.7" not in gateway.peers
    assert "10.0.0.9" in gateway.peers


def test_a_single_node_needs_no_relay_ports(cluster: Cluster):
    cluster.apply(traffic.service())
    cluster.apply(manifest(replicas=1))

    assert not RelayPort.objects.exists()


def test_named_ports_and_protocols_are_those_of_the_replicas(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(traffic.service(ports=PORTS))
    named = "        ports: [{containerPort: 9000, name: web}]\n        resources:"
    cluster.apply(manifest(replicas=1).replace("        resources:", named))

    http, dns = gateway.services["default/web"].ports

    assert (http.protocol, http.endpoints[0].port) == ("TCP", 9000)
    assert (dns.protocol, dns.endpoints[0].port) == ("UDP", 53)


def test_replicas_find_services_by_variables(cluster: Cluster):
    cluster.apply(traffic.service(name="my-db", ports=PORTS.replace("web", "5432")))
    cluster.apply(manifest(replicas=1))

    env = _environment()

    host = env["MY_DB_SERVICE_HOST"]
    assert host.startswith("10.97.")
    assert (env["MY_DB_SERVICE_PORT"], env["MY_DB_SERVICE_PORT_DNS"]) == ("80", "53")
    assert env["MY_DB_PORT"] == env["MY_DB_PORT_80_TCP"] == f"tcp://{host}:80"
    assert env["MY_DB_PORT_53_UDP_PROTO"] == "udp"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        pytest.param("enableServiceLinks: false", None, id="not-wanted"),
        pytest.param("enableServiceLinks: true", "10.97.", id="wanted"),
    ],
)
def test_variables_can_be_left_out(cluster: Cluster, more: str, found: str | None):
    cluster.apply(traffic.service())
    text = manifest(replicas=1).replace("      containers:", f"      {more}\n      containers:")

    cluster.apply(text)

    assert str(_environment().get("WEB_SERVICE_HOST"))[:6] == str(found)[:6]


def test_what_a_manifest_says_itself_wins(cluster: Cluster):
    cluster.apply(traffic.service())
    own = "        env: [{name: WEB_SERVICE_HOST, value: mine}]\n        resources:"

    cluster.apply(manifest(replicas=1).replace("        resources:", own))

    assert _environment()["WEB_SERVICE_HOST"] == "mine"


def _environment() -> dict[str, str]:
    """Return the variables the only replica was started with."""
    (job,) = Replica.objects.get().job_set.filter(operation="start")
    start = protocol.from_wire(protocol.StartJob, job.payload)
    return dict(start.replica.container.env)


ROOM = (
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shared, annotations: {kijabi.dev/open: %s}}"
)


def test_gateways_are_told_which_namespaces_are_open(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(ROOM % '"true"')
    opened = gateway.tables[-1].open_namespaces

    assert [saved.action for saved in cluster.apply(ROOM % '"true"')] == ["unchanged"]
    assert [saved.action for saved in cluster.apply(ROOM % '"false"')] == ["configured"]

    assert (opened, gateway.tables[-1].open_namespaces) == (("shared",), ())
    said = [event.message for event in Event.objects.filter(reason="Configured")]
    assert said[-1] == "replicas of namespace shared may be reached directly from every namespace"


def test_an_open_namespace_closes_with_its_end(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(ROOM % '"true"')

    namespaces.delete("shared", change())

    assert gateway.tables[-1].open_namespaces == ()


def test_a_namespace_is_open_or_not(cluster: Cluster):
    with pytest.raises(ManifestInvalid, match='"maybe" is unknown; use "true" or "false"'):
        cluster.apply(ROOM % "maybe")

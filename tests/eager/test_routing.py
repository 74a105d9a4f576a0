"""From a service to the gateways, and from a stop back to them: who is in rotation, and when."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from orchestrator.models import Event, Node, Replica, Routing
from orchestrator.operations import deployments, gateways, replicas, route_tables, services
from orchestrator.queries import waiting
from tests.cluster import Cluster, change, manifest
from tests.gateways import Post, PretendedGateway
from tests.traffic import service


def uids(cluster: Cluster) -> set[str]:
    return {replica.uid for replica in cluster.live()}


def test_ready_replicas_are_in_rotation(cluster: Cluster, post: Post, gateway: PretendedGateway):
    cluster.apply(service())

    cluster.apply(manifest(replicas=3))

    assert gateway.serving("web") == uids(cluster)
    (port,) = gateway.services["default/web"].ports
    assert (port.port, {one.port for one in port.endpoints}) == (80, {8080})


def test_a_service_made_later_finds_the_replicas(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(manifest(replicas=2))

    cluster.apply(service())

    assert gateway.serving("web") == uids(cluster)


def test_gateways_are_told_whom_a_service_selects_unless_readiness_has_to_last(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    told = gateway.services["default/web"]

    text = manifest(replicas=2)
    cluster.apply(text.replace("  replicas: 2", "  replicas: 2\n  minReadySeconds: 5"))

    assert (told.selector, told.ports[0].target) == ((("app", "web"),), "8080")
    assert gateway.services["default/web"].selector == ()


def test_a_change_is_told_as_such_from_what_was_confirmed(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service() + "---" + service(name="other", selector="{app: other}"))
    cluster.apply(manifest(replicas=1))

    table = gateway.tables[-1]

    assert table.base == table.generation - 1
    assert [one.name for one in table.services] == ["web"]


def test_a_replica_is_withdrawn_before_it_stops(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=2))
    gateway.silent = True

    deployments.scale("default", "web", 1, change())

    (leaving,) = Replica.objects.filter(phase="withdrawn")
    assert gateway.draining("web") == {leaving.uid}
    assert len(cluster.containers()) == 2


def test_it_stops_as_soon_as_the_gateway_confirms(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=2))
    gateway.silent = True
    deployments.scale("default", "web", 1, change())

    gateway.report()

    assert len(cluster.containers()) == 1
    assert gateway.draining("web") == set()
    assert gateway.serving("web") == uids(cluster)


def test_it_does_not_stop_while_the_gateway_is_busy_with_it(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    gateway.busy = uids(cluster)
    deployments.scale("default", "web", 0, change())
    assert len(cluster.containers()) == 1

    gateway.busy = set()
    gateway.report()

    assert cluster.containers() == []


def test_a_silent_gateway_holds_a_stop_no_longer_than_the_limit(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    gateway.silent = True
    deployments.scale("default", "web", 0, change())

    early = cluster.pass_at(29)
    late = cluster.pass_at(31)

    assert (early.actions, late.actions) == (0, 1)
    assert cluster.containers() == []
    told = Event.objects.get(severity="warning", reason="ScaleDown")
    assert "the gateway on g1 has not confirmed" in told.message


def test_a_rollout_never_stops_what_a_gateway_may_still_send_to(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=3))
    old = uids(cluster)

    cluster.apply(manifest(replicas=3, version="2"))

    assert gateway.serving("web") == uids(cluster)
    assert not old & uids(cluster)
    assert len(cluster.containers()) == 3
    assert cluster.deployment().phase == "Available"


def test_a_crashed_replica_leaves_at_once_and_comes_back(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=2))
    before = gateway.generation

    cluster.runtime.die(cluster.container_of(cluster.live()[0]), 1)
    cluster.settle()

    assert gateway.serving("web") == uids(cluster)
    assert gateway.generation >= before


def test_a_lost_gateway_is_not_waited_for(cluster: Cluster, post: Post, gateway: PretendedGateway):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    gateway.silent = True
    deployments.scale("default", "web", 0, change())

    Node.objects.filter(name="g1").update(state="lost")
    cluster.pass_at(0)

    assert cluster.containers() == []


def test_a_gateway_without_ways_is_not_waited_for(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    gateway.ways = ()
    gateway.report()
    gateway.silent = True
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))

    deployments.scale("default", "web", 0, change())

    assert cluster.containers() == []


def test_a_deployment_no_service_selects_stops_at_once(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service(selector="{app: other}"))
    cluster.apply(manifest(replicas=2))
    gateway.silent = True

    deployments.scale("default", "web", 0, change())

    assert cluster.containers() == []
    assert not Event.objects.filter(message__contains="withdrawn").exists()


def test_a_replaced_replica_is_withdrawn_too(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    (old,) = uids(cluster)
    gateway.silent = True

    replicas.replace(old, change())

    assert gateway.draining("web") == {old}
    assert len(cluster.containers()) == 2
    gateway.report()
    assert gateway.serving("web") == uids(cluster) != {old}
    assert len(cluster.containers()) == 1


def test_a_gateway_that_lost_everything_gets_a_whole_table(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    gateway.services, gateway.generation = {}, 0

    gateway.report()

    assert gateway.tables[-1].base is None
    assert gateway.serving("web") == uids(cluster)


def test_what_was_not_confirmed_is_sent_again(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(manifest(replicas=1))
    post.held = True
    cluster.apply(service())
    post.waiting.clear()
    post.held = False

    early = route_tables.resend_unconfirmed(now=timezone.now())
    late = route_tables.resend_unconfirmed(now=timezone.now() + timedelta(seconds=5))

    assert (early, late) == (0, 1)
    assert gateway.serving("web") == uids(cluster)


def test_a_gateway_ahead_of_an_older_database_is_caught_up_with(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    gateway.generation = 1000

    gateway.report()

    assert Routing.objects.get().generation == 1001
    assert gateway.generation == 1001
    assert "default/web" in gateway.services


def test_a_gateway_that_stays_behind_is_told_of(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    gateway.silent = True
    cluster.apply(service())

    gateways.watch(now=timezone.now() + timedelta(seconds=11))
    gateways.watch(now=timezone.now() + timedelta(seconds=12))

    assert Event.objects.filter(reason="GatewayBehind").count() == 1
    gateway.report()
    assert Event.objects.filter(reason="GatewayCaughtUp").count() == 1


def test_what_a_gateway_cannot_do_is_an_event_once(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    gateway.message = "caddy does not answer"
    gateway.report()
    gateway.report()

    told = Event.objects.get(reason="GatewayTrouble")
    assert (told.node, told.message) == ("g1", "the gateway on node g1 says: caddy does not answer")


def test_a_deleted_service_is_taken_away(cluster: Cluster, post: Post, gateway: PretendedGateway):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))

    services.STORE.delete("default", "web", change())

    assert gateway.tables[-1].removed_services == ("default/web",)
    assert gateway.services == {}


def test_a_withdrawn_replica_says_what_it_waits_for(
    cluster: Cluster, post: Post, gateway: PretendedGateway
):
    cluster.apply(service())
    cluster.apply(manifest(replicas=1))
    (uid,) = uids(cluster)
    before = waiting.leaving(uid, now=timezone.now())
    gateway.busy = {uid}

    deployments.scale("default", "web", 0, change())

    after = waiting.leaving(uid, now=timezone.now())
    assert before == ""
    assert "the gateway on g1 is still busy with it; it stops in " in after
    gateway.busy = set()
    gateway.report()
    assert waiting.leaving(uid, now=timezone.now()) == ""

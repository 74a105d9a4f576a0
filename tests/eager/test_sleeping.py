"""Scaling to zero: who falls asleep, who is woken, and whom nobody could wake."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from orchestrator.core.wording import ASLEEP
from orchestrator.models import Autoscaler, Deployment, Event, ScalingDecision
from orchestrator.operations import autoscalers, autoscaling, deployments, ingresses, routing
from orchestrator.operations.replica_counts import OwnedByAutoscaler
from orchestrator.queries import services
from tests import traffic
from tests.cluster import Cluster, change, manifest
from tests.gateways import Post, PretendedGateway

SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {kind: Deployment, name: web}
  minReplicas: 0
  maxReplicas: 4
  metrics:
  - type: Pods
    pods: {metric: {name: requests_per_second}, target: {type: AverageValue, averageValue: "10"}}
"""


@pytest.fixture
def http(gateway: PretendedGateway) -> PretendedGateway:
    """A gateway that serves ingresses."""
    gateway.ways = ("nftables", "caddy")
    return gateway


@pytest.fixture
def asleep(cluster: Cluster, post: Post, http: PretendedGateway) -> Cluster:
    """A deployment that has come down to no replica."""
    cluster.apply("---".join([traffic.service(), traffic.ingress(), manifest(replicas=1), SCALER]))
    http.report()
    fall_asleep(cluster)
    return cluster


def fall_asleep(cluster: Cluster) -> None:
    """Carry out what an autoscaler decides that sees no request."""
    row = cluster.deployment()
    Deployment.objects.filter(pk=row.pk).update(replicas=0, autoscaled=0, settled=False)
    cluster.pass_at(0)
    assert cluster.containers() == []


def decided() -> list[str]:
    return list(ScalingDecision.objects.order_by("pk").values_list("word", flat=True))


def test_routes_to_who_may_sleep_say_so(asleep: Cluster, http: PretendedGateway):
    assert [route.wakes for route in http.ingresses["default/site"].routes] == [True]

    autoscalers.delete("default", "web", change())

    assert [route.wakes for route in http.ingresses["default/site"].routes] == [False]


def test_a_request_that_waits_wakes_it(asleep: Cluster, http: PretendedGateway):
    http.waiting = ("default/web",)
    http.report()

    assert len(asleep.containers()) == 1
    assert http.serving("web") == {replica.uid for replica in asleep.live()}
    assert decided() == ["RequestsWaiting"]
    assert "requests wait for it at a gateway" in Event.objects.get(reason="Scaled").message


def test_a_request_for_somebody_else_wakes_nobody(asleep: Cluster, http: PretendedGateway):
    http.waiting = ("default/other", "other/web")
    http.report()

    assert asleep.containers() == []


def test_it_sleeps_on_while_nobody_asks(asleep: Cluster):
    autoscaling.run(now=timezone.now())

    assert asleep.containers() == []
    assert decided() == ["Asleep"]


def test_it_stays_awake_where_nobody_would_notice_a_request(
    asleep: Cluster, http: PretendedGateway
):
    ingresses.STORE.delete("default", "site", change())

    autoscaling.run(now=timezone.now())

    asleep.settle()
    assert len(asleep.containers()) == 1
    assert decided() == ["NobodyWatches"]


def test_applying_does_not_wake_it(asleep: Cluster):
    asleep.apply(manifest(replicas=3, version="2"))

    assert asleep.containers() == []
    assert asleep.deployment().autoscaled == 0
    with pytest.raises(OwnedByAutoscaler):
        deployments.scale("default", "web", 2, change())


def test_who_is_switched_off_is_not_woken(asleep: Cluster, http: PretendedGateway):
    deployments.scale("default", "web", 0, change())

    http.waiting = ("default/web",)
    http.report()
    autoscaling.run(now=timezone.now() + timedelta(seconds=5))

    assert asleep.containers() == []
    assert decided() == ["ScalingDisabled"]


def test_nothing_waits_for_who_is_switched_off(asleep: Cluster, http: PretendedGateway):
    deployments.scale("default", "web", 0, change())
    routing.repair(now=timezone.now())

    assert [route.wakes for route in http.ingresses["default/site"].routes] == [False]
    assert services.get("default", "web").message != ASLEEP


def test_who_is_switched_on_starts_with_that_number(asleep: Cluster):
    deployments.scale("default", "web", 0, change())
    deployments.scale("default", "web", 2, change())

    asleep.settle()
    assert len(asleep.containers()) == 2


def test_its_status_says_that_it_sleeps(asleep: Cluster):
    sleeping = asleep.deployment().message
    deployments.scale("default", "web", 0, change())
    asleep.settle()

    assert (sleeping, asleep.deployment().message) == (ASLEEP, "scaled to zero")


def test_a_rollout_while_it_sleeps_is_what_wakes(asleep: Cluster, http: PretendedGateway):
    asleep.apply(manifest(replicas=1, version="2"))
    http.waiting = ("default/web",)
    http.report()

    asleep.settle()
    assert [replica.revision.number for replica in asleep.live()] == [2]
    assert http.serving("web") == {replica.uid for replica in asleep.live()}


def test_going_back_while_it_sleeps_wakes_nobody(asleep: Cluster):
    asleep.apply(manifest(replicas=1, version="2"))

    deployments.rollback("default", "web", change())

    asleep.settle()
    assert (asleep.containers(), asleep.deployment().message) == ([], ASLEEP)


def test_without_its_autoscaler_it_wakes(asleep: Cluster):
    autoscalers.delete("default", "web", change())

    asleep.settle()
    assert len(asleep.containers()) == 1
    assert (asleep.deployment().replicas, asleep.deployment().autoscaled) == (1, None)


def test_its_service_says_that_it_sleeps(asleep: Cluster):
    found = services.get("default", "web")

    assert (found.message, found.warning) == (ASLEEP, "")


def test_labels_that_change_later_are_noticed(asleep: Cluster, http: PretendedGateway):
    Autoscaler.objects.update(may_sleep=False)

    routing.repair(now=timezone.now())

    assert [route.wakes for route in http.ingresses["default/site"].routes] == [False]

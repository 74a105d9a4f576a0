"""Requests that gateways counted: kept, added up over gateways, shown, and scaled by."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.core import samples
from orchestrator.core.autoscaling.observation import NO_GATEWAY, NO_ROUTE
from orchestrator.core.autoscaling.policy import Source
from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Node, Replica, Revision
from orchestrator.operations import applying, autoscaling, measurements
from orchestrator.queries import looks, metrics, routed_requests
from orchestrator.queries.kept_blocks import FINEST_SECONDS
from orchestrator.queries.metrics import Span
from orchestrator.queries.routed_requests import Routed
from tests.cluster import change
from tests.integration.api.test_autoscalers import autoscaler
from tests.integration.test_ingest import assigned
from tests.integration.test_measurements import told, uses
from worker.measured import (
    LATENCY_BOUNDS_MILLIS,
    MeasuredRequests,
    MeasuredService,
    MeasuredTarget,
)
from worker.protocol import ReplicaUid

METRICS = "/api/v1/metrics/"
# A point of a series comes when its period is over.
SETTLED = timedelta(seconds=30)
ROUTED = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
  - host: web.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
"""
BY_REQUESTS = (
    autoscaler(maximum=8)
    + """  metrics:
  - type: Pods
    pods:
      metric: {name: requests_per_second}
      target: {type: AverageValue, averageValue: "10"}
"""
)


def seen(replicas: dict[str, int], *, failed: int = 0, slow: int = 0) -> MeasuredRequests:
    """Return what a gateway counted in five seconds: requests by replica."""
    total = sum(replicas.values())
    times = (total, *[0] * (len(LATENCY_BOUNDS_MILLIS) - 1), slow)
    web = MeasuredService(
        service="default/web",
        classes=(0, total, 0, 0, failed),
        latencies=times,
        failed=failed,
        in_flight_millis=500,
    )
    targets = (
        MeasuredTarget(uid=ReplicaUid(uid), requests=number, in_flight_millis=250)
        for uid, number in replicas.items()
    )
    return MeasuredRequests(services=(web,), replicas=tuple(targets))


@pytest.fixture
def now() -> datetime:
    return timezone.now()


@pytest.fixture
def replicas(sent, now: datetime) -> list[Replica]:
    """Two replicas that run behind an Ingress, and a second node."""
    made = assigned(2)
    applying.apply(parse(ROUTED), change())
    Node.objects.create(name="n2", seen_at=now, joined_at=now)
    long_ago = now - timedelta(hours=1)
    Replica.objects.update(
        phase="running", ready=True, started_at=long_ago, readiness_changed_at=long_ago
    )
    return made


def measure(replicas: list[Replica], requests: MeasuredRequests | None, at: datetime) -> None:
    report = told(1, *(uses(one, 10) for one in replicas), requests=requests)
    assert measurements.take(report, now=at)


def routed_of(replicas: list[Replica], now: datetime) -> Routed:
    seen_lately = looks.latest({row.deployment_id for row in replicas}, now)
    return routed_requests.latest(replicas, seen_lately)


def test_gateways_of_several_nodes_are_added_up(replicas: list[Replica], now: datetime):
    one, two = (row.uid for row in replicas)
    measure(replicas, seen({one: 50, two: 100}), now)
    measurements.take(told(1, node="n2", requests=seen({one: 25})), now=now)

    routed = routed_of(replicas, now)

    assert {uid: routed.loads[uid].per_second_millis for uid in (one, two)} == {
        one: 15_000,
        two: 20_000,
    }
    assert routed.of(one)[Source.REQUESTS_IN_FLIGHT].value == 500
    assert routed.silent([one, two]) == {}


def test_a_replica_without_requests_has_none_of_them(replicas: list[Replica], now: datetime):
    measure(replicas, MeasuredRequests(), now)

    routed = routed_of(replicas, now)

    assert routed.of(replicas[0].uid)[Source.REQUESTS_PER_SECOND].value == 0


def test_a_replica_of_nobody_is_not_kept(replicas: list[Replica], now: datetime):
    measure(replicas, seen({"nobody": 50}), now)

    routed = routed_of(replicas, now)

    assert set(routed.loads) == {row.uid for row in replicas}


@pytest.mark.parametrize("is_routed", [True, False])
def test_why_nothing_is_known_is_said(sent, now: datetime, is_routed):
    made = assigned(1)
    if is_routed:
        applying.apply(parse(ROUTED), change())
    measure(made, None if is_routed else MeasuredRequests(), now)

    silent = routed_of(made, now).silent([made[0].uid])

    assert set(silent.values()) == {NO_GATEWAY if is_routed else NO_ROUTE}


def test_replicas_follow_their_requests(replicas: list[Replica], now: datetime):
    applying.apply(parse(BY_REQUESTS), change())
    measure(replicas, seen({row.uid: 100 for row in replicas}), now)

    autoscaling.run(now=now)

    assert Deployment.objects.get().replicas == 4


def test_a_series_tells_requests_of_replicas_and_services(
    replicas: list[Replica], now: datetime, api: APIClient
):
    measure(replicas, seen({row.uid: 50 for row in replicas}, failed=5, slow=1), now - SETTLED)

    whole = api.get(f"{METRICS}?deployment=web").json()
    part = api.get(f"{METRICS}?replica={replicas[0].uid}").json()
    service = api.get(f"{METRICS}?service=web").json()

    assert whole["requests"] == ""
    assert whole["points"][-1]["requests_per_second_millis"] == 20_000
    assert part["points"][-1]["requests_in_flight_millis"] == 250
    assert (service["points"], service["requests"]) == ([], "")
    [point] = service["requests_of"]
    assert point["classes"] == [0, 20_000, 0, 0, 1000]
    assert (point["failed"], point["in_flight_millis"]) == (1000, 500)
    assert point["p50"] < LATENCY_BOUNDS_MILLIS[0]
    assert api.get(f"{METRICS}?service=none").status_code == 404


def test_a_look_at_which_nothing_came_counts_as_well(replicas: list[Replica], now: datetime):
    at = samples.end_of_period(now - timedelta(minutes=1), FINEST_SECONDS) - timedelta(seconds=1)
    for step, requests in enumerate((seen({replicas[0].uid: 50}), MeasuredRequests())):
        report = told(step + 1, node="n2", requests=requests)
        assert measurements.take(report, now=at + timedelta(seconds=5 * step - 5))
    measure(replicas, None, at)
    span = Span.latest(now, timedelta(minutes=15))

    assert routed_of(replicas, at).loads[replicas[0].uid].per_second_millis == 5_000
    deployment = metrics.of_deployment("default", "web", span) or []
    assert [point.requests_per_second_millis for point in deployment] == [5_000]
    replica = metrics.of_replica(replicas[0].uid, span) or []
    assert [point.requests_per_second_millis for point in replica] == [5_000]
    service = metrics.of_service("default", "web", span)
    assert [point.per_second_millis for point in service] == [5_000]


def test_a_time_without_requests_is_one_with_none(replicas: list[Replica], now: datetime):
    at = now - SETTLED
    measure(replicas, None, at)
    measurements.take(told(1, node="n2", requests=MeasuredRequests()), now=at)
    span = Span.latest(now, timedelta(minutes=15))

    [point] = metrics.of_deployment("default", "web", span) or []
    [service] = metrics.of_service("default", "web", span)

    assert (point.requests_per_second_millis, service.per_second_millis) == (0, 0)


def test_a_day_of_requests_is_thinned_out(replicas: list[Replica], now: datetime):
    begin = now - timedelta(minutes=20)
    for step in range(40):
        at = begin + timedelta(seconds=30 * step)
        report = told(step + 1, requests=seen({replicas[0].uid: 50}))
        assert measurements.take(report, now=at)
        measurements.roll_up(now=at)
    measurements.roll_up(now=now)

    points = metrics.of_service("default", "web", Span.latest(now, timedelta(hours=1)))

    assert len(points) >= 18
    assert {point.per_second_millis for point in points} == {10_000}


def test_the_page_of_a_service_shows_its_requests(
    replicas: list[Replica], now: datetime, plain_static_files: None
):
    reader = Client()
    reader.force_login(User.objects.create_superuser("eve"))
    before = reader.get("/services/default/web/").content.decode()
    measure(replicas, seen({row.uid: 50 for row in replicas}, failed=5), now - SETTLED)

    after = reader.get("/services/default/web/").content.decode()

    assert "no gateway reports any" in before
    assert '<dd class="num">20</dd>' in after
    assert "Failed a second" in after


def test_what_is_scraped_has_them(replicas: list[Replica], now: datetime, api: APIClient):
    measure(replicas, seen({row.uid: 50 for row in replicas}, failed=5), now)

    text = api.get("/metrics").content.decode()

    labels = 'namespace="default",service="web"'
    assert f'kijabi_service_requests_per_second{{code="2xx",{labels}}} 20.0' in text
    assert f"kijabi_service_failed_requests_per_second{{{labels}}} 1.0" in text
    assert f"kijabi_service_requests_in_flight{{{labels}}} 0.5" in text


def test_requests_are_counted_over_a_time(replicas: list[Replica], now: datetime):
    begin = now - timedelta(seconds=20)
    for step, failed in enumerate((0, 5, 0, 1)):
        report = told(step + 1, requests=seen({replicas[0].uid: 50}, failed=failed))
        assert measurements.take(report, now=begin + timedelta(seconds=5 * step))

    counted = metrics.tally({"default/web"}, begin + timedelta(seconds=5), now)

    # Of four periods of 5 s those two count that began when the count did, or later.
    assert counted == metrics.Tally(requests=100, failed=1)
    assert metrics.tally({"default/other"}, begin, now) == metrics.Tally(requests=0, failed=0)
    assert (
        metrics.tally({"default/web"}, now - timedelta(hours=2), begin - timedelta(seconds=1))
        is None
    )


def test_the_page_of_a_deployment_tells_the_requests_of_its_rollout(
    replicas: list[Replica], now: datetime, plain_static_files: None
):
    Revision.objects.update(created_at=now - timedelta(seconds=5), completed_at=None)
    measure(replicas, seen({row.uid: 50 for row in replicas}, failed=5), now)
    reader = Client()
    reader.force_login(User.objects.create_superuser("eve"))

    page = " ".join(reader.get("/deployments/default/web/").content.decode().split())

    assert 'Requests at the gateways so far: <b class="num">100</b> · failed: ' in page
    assert '<b class="num">5</b>' in page

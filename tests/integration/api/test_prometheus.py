"""/metrics: what a scraper reads, who may, and what is left while the broker is away."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from rest_framework.test import APIClient

from orchestrator.models import Job
from orchestrator.operations import measurements, statistics
from tests.integration.api.requests import apply
from tests.integration.api.test_autoscalers import autoscaler
from tests.integration.conftest import client_of
from tests.integration.test_ingest import assigned
from tests.integration.test_measurements import told, uses

Found = dict[tuple[str, ...], float]


@pytest.fixture
def broker(broker_url: str, settings) -> Iterator[redis.Redis]:
    """A broker where statistics are kept, empty."""
    settings.REDIS_URL = broker_url
    statistics._client.cache_clear()
    with redis.Redis.from_url(broker_url) as client:
        client.flushall()
        yield client
    statistics._client().close()
    statistics._client.cache_clear()


def scraped(api: APIClient) -> dict[str, Found]:
    """Return every sample by name and values of its labels (sorted by label), as parsed."""
    text = api.get("/metrics").content.decode()
    found: dict[str, Found] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_workloads_nodes_and_autoscalers_are_there(api: APIClient, broker):
    first, second = assigned(2)
    apply(api, autoscaler())
    measurements.take(told(1, uses(first, 250), uses(second, 50)), now=timezone.now())

    found = scraped(api)

    assert found["kijabi_deployment_replicas"]["web", "desired", "default"] == 2
    assert found["kijabi_deployment_rollout"]["web", "default", "ReplicaSetUpdated"] == 1
    assert found["kijabi_deployment_cpu_usage_cores"]["web", "default"] == 0.3
    assert found["kijabi_node_cpu_usage_cores"]["n1",] == 0.7
    assert found["kijabi_autoscaler_bound"]["web", "maximum", "web", "default"] == 9
    assert found["kijabi_replicas"]["assigned",] == 2


def test_jobs_are_counted_with_the_age_of_the_oldest(api: APIClient, broker):
    assigned(2)
    Job.objects.update(created_at=timezone.now() - timedelta(seconds=40))

    found = scraped(api)

    assert found["kijabi_jobs_open"]["start", "queued"] == 2
    assert 40 <= found["kijabi_job_oldest_seconds"]["start", "queued"] < 60


def test_queues_passes_and_actions_come_from_the_broker(api: APIClient, broker):
    assigned(1)
    broker.lpush("node.n1", "a", "b")
    statistics.note_pass(0.02, ["ScaleUp", "ScaleUp"])
    statistics.note_pass(3.0, ["Stop"])
    statistics.flush()

    found = scraped(api)

    assert found["kijabi_queue_messages"] == {("control",): 0, ("node.n1",): 2}
    assert found["kijabi_actions_total"] == {("ScaleUp",): 2, ("Stop",): 1}
    assert found["kijabi_reconcile_seconds_bucket"]["0.025",] == 1
    assert found["kijabi_reconcile_seconds_count"][()] == 2
    assert found["kijabi_reconcile_seconds_sum"][()] == pytest.approx(3.02)


def test_without_its_broker_it_says_so_and_the_rest(api: APIClient, settings):
    assigned(1)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    statistics._client.cache_clear()

    found = scraped(api)

    statistics._client.cache_clear()
    assert found["kijabi_broker_up"] == {(): 0}
    assert "kijabi_deployment_replicas" in found


def test_it_needs_a_token_unless_it_is_opened(db, broker, settings):
    closed = APIClient().get("/metrics")
    settings.METRICS_OPEN = True
    opened = APIClient().get("/metrics")

    assert (closed.status_code, opened.status_code) == (401, 200)
    assert client_of(None).get("/metrics").status_code == 200


def test_somebody_without_a_role_reads_nothing(db, broker):
    assert client_of(None).get("/metrics").status_code == 403


def test_a_broker_that_is_away_stops_no_pass(settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    statistics._client.cache_clear()

    statistics.note_pass(0.01, [])

    statistics.flush()
    statistics._client.cache_clear()
    assert not statistics._pending

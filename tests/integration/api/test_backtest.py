"""A changed policy replayed over what was measured, before it is saved."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.models import Autoscaler, Replica
from orchestrator.operations import measurements
from tests.cluster import manifest
from tests.integration.api.requests import apply
from tests.integration.api.test_autoscalers import ONE, autoscaler
from tests.integration.test_ingest import assigned
from tests.integration.test_measurements import told, uses

BUSY = manifest(replicas=1).replace("{memory: 64Mi}", "{cpu: 100m, memory: 64Mi}")


@pytest.fixture
def measured(api: APIClient) -> APIClient:
    """The API with an autoscaler, and a load that has come in waves for ten minutes."""
    [replica] = assigned(1)
    apply(api, BUSY)
    Replica.objects.update(resources={"cpu_limit_millis": 100, "cpu_request_millis": 100})
    apply(api, autoscaler(minimum=1))
    begin = timezone.now() - timedelta(minutes=10)
    for index in range(40):
        cpu = 300 if index // 10 % 2 else 40
        at = begin + timedelta(seconds=15 * index)
        measurements.take(told(index + 1, uses(replica, cpu)), now=at)
    return api


def ask(api: APIClient, text: str, query: str = ""):
    return api.post(f"{ONE}backtest/{query}", data=text, content_type="application/yaml")


def test_both_courses_are_told_beside_each_other(measured: APIClient):
    quick = autoscaler(minimum=1) + "  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}\n"

    body = ask(measured, quick, "?seconds=900").json()

    assert body["present"]["highest"] == body["changed"]["highest"] == 4
    assert (body["present"]["flaps"], body["changed"]["flaps"]) == (0, 2)
    assert body["changed"]["replica_hours"] < body["present"]["replica_hours"]
    assert len(body["changed"]["replicas"]) > 30


def test_it_changes_nothing(measured: APIClient):
    before = Autoscaler.objects.values().get()

    ask(measured, autoscaler(maximum=50))

    assert Autoscaler.objects.values().get() == before


def test_it_says_what_it_cannot_know(measured: APIClient):
    assert "cpu was at its limit" in ask(measured, autoscaler()).json()["note"]


@pytest.mark.parametrize(
    ("text", "query", "status"),
    [
        pytest.param(autoscaler(minimum=9, maximum=2), "", 422, id="an-invalid-policy"),
        pytest.param(autoscaler(), "?seconds=86401", 400, id="longer-than-a-day"),
    ],
)
def test_what_cannot_be_replayed_is_refused(measured: APIClient, text, query, status):
    assert ask(measured, text, query).status_code == status


def test_there_has_to_be_one(api: APIClient):
    assert ask(api, autoscaler()).status_code == 404

"""Series over HTTP: of what, how long, how densely; nothing is made up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.models import Replica
from orchestrator.operations import measurements
from tests.integration.test_ingest import assigned
from tests.integration.test_measurements import told, uses

ALL = "/api/v1/metrics/"


@pytest.fixture
def replica(api: APIClient) -> Replica:
    """A replica that was measured twenty seconds ago."""
    [found] = assigned(1)
    at = timezone.now() - timedelta(seconds=20)
    measurements.take(told(1, uses(found, 120)), now=at)
    return found


@pytest.mark.parametrize(
    "subject", ["deployment=web", "deployment=default/web", "node=n1", "replica={uid}"]
)
def test_each_subject_has_a_series(api: APIClient, replica: Replica, subject: str):
    body = api.get(f"{ALL}?{subject.format(uid=replica.uid)}").json()

    [point] = body["points"]
    assert point["cpu_millis"] == (700 if subject.startswith("node") else 120)
    assert (body["seconds"], body["resolution"]) == (900, 15)


def test_it_says_that_nobody_reports_requests(api: APIClient, replica: Replica):
    assert api.get(f"{ALL}?node=n1").json()["requests"] == "no gateway reports requests"


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("", 400, "give one of deployment, replica, node"),
        ("?node=n1&replica=x", 400, "give one of deployment, replica, node"),
        ("?node=n1&seconds=86401", 400, "not a whole number from 0 to 86400"),
        ("?node=n1&seconds=86400&resolution=60", 400, "use 172 or more"),
        ("?node=nowhere", 404, 'node "nowhere" does not exist'),
        ("?replica=nobody", 404, 'replica "nobody" does not exist'),
        ("?deployment=shop/none", 404, 'deployment "none" does not exist in namespace "shop"'),
    ],
)
def test_what_cannot_be_answered_is_said(api: APIClient, replica: Replica, query, status, told):
    answer = api.get(f"{ALL}{query}")

    assert (answer.status_code, told in answer.json()["detail"]) == (status, True)

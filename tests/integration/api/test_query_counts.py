"""How many queries each page costs; the same for three rows as for thirty."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.models import Deployment, Event, Replica, Revision
from orchestrator.operations import ingest, reconcile, sweep, tokens
from tests.cluster import manifest
from tests.integration.api.requests import apply
from worker import protocol

GOLDEN = Path(__file__).parents[2] / "golden" / "query_counts.json"
ONE = "namespaces/default/deployments/d0/"
PAGES = [
    "deployments/",
    "deployments/?search=d",
    "namespaces/",
    "namespaces/default/",
    "namespaces/default/deployments/",
    ONE,
    f"{ONE}manifest/",
    f"{ONE}revisions/",
    f"{ONE}replicas/",
    f"{ONE}events/",
    "replicas/",
    "replicas/UID/",
    "nodes/",
    "nodes/n0/",
    "nodes/rebalance/",
    "nodes/rebalance/?plan",
    "jobs/",
    "events/",
    "events/?audit=true",
    "events/EVENT/",
    "tokens/",
    "tokens/?user=",
    "users/",
    "users/admin/",
]


def fill(api: APIClient, first: int, last: int) -> None:
    for index in range(first, last):
        message = protocol.NodeReport(
            node=f"n{index}",
            boot=1,
            sequence=1,
            sent_at=0.0,
            full=True,
            facts=protocol.NodeFacts(runtimes=("in-memory",)),
        )
        ingest.ingest(message, now=timezone.now())
        apply(api, manifest(name=f"d{index}", replicas=2))
        apply(api, manifest(name="d0", replicas=2, version=str(index)))
        user = User.objects.create_user(f"u{index}")
        tokens.make_endless(user, "script", now=timezone.now())
    for pk in sweep.owed(now=timezone.now()):
        reconcile.run(pk, now=timezone.now())


def count(api: APIClient, page: str) -> int:
    uid = Replica.objects.values_list("uid", flat=True)[0]
    event = Event.objects.exclude(cause=None).values_list("pk", flat=True)[0]
    path = page.replace("UID", uid).replace("EVENT", str(event))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert api.get(f"/api/v1/{path}").status_code == 200
    return len(queries)


def test_every_page_costs_what_was_reviewed_however_many_rows(api: APIClient):
    api.get("/api/v1/deployments/")  # Notes the token's use, once a minute.
    fill(api, 0, 3)
    few = {page: count(api, page) for page in PAGES}
    fill(api, 3, 10)

    many = {page: count(api, page) for page in PAGES}

    assert Deployment.objects.count() == 10
    assert Revision.objects.filter(deployment__name="d0").count() > 3
    assert few == many
    text = json.dumps(many, indent=2) + "\n"
    if os.environ.get("KIJABI_REWRITE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["/", "/deployments/default/d0/"])
def test_pages_for_people_cost_the_same_for_more_rows(api: APIClient, admin_client, settings, page):
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": plain}}
    costs = []
    for first, last in ((0, 3), (3, 8)):
        fill(api, first, last)
        with CaptureQueriesContext(connection) as queries:
            assert admin_client.get(page).status_code == 200
        costs.append(len(queries))

    assert costs[0] == costs[1] <= 10

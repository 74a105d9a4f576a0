"""Two passes at once never give the same room away twice. Needs PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import connection, connections
from django.utils import timezone

from orchestrator.core.plan import Plan
from orchestrator.core.planner import make_plan
from orchestrator.core.snapshot import Snapshot
from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Replica
from orchestrator.operations import applying, namespaces, reconcile
from tests.cluster import change, manifest
from tests.integration.test_placement import APART, report


@pytest.fixture(autouse=True)
def _two_connections(transactional_db: None, sent: object) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("two connections cannot write to SQLite in memory; PostgreSQL runs this")


def passes_at_once(monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
    """Run a pass over each deployment, all of which have looked before any of them writes."""
    all_have_looked = threading.Barrier(len(names))
    looked = threading.local()

    def plan_late(snapshot: Snapshot) -> Plan:
        plan = make_plan(snapshot)
        if not hasattr(looked, "once"):
            looked.once = True
            with suppress(threading.BrokenBarrierError):
                all_have_looked.wait(5)
        return plan

    monkeypatch.setattr(reconcile, "make_plan", plan_late)
    ids = dict(Deployment.objects.values_list("name", "pk"))

    def run(name: str) -> reconcile.Outcome:
        try:
            return reconcile.run(ids[name], now=timezone.now()).outcome
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(names)) as pool:
        assert set(pool.map(run, names)) == {reconcile.Outcome.APPLIED}


def test_a_node_is_not_filled_twice(monkeypatch: pytest.MonkeyPatch):
    namespaces.ensure("default", change())
    report("n1", memory=256)
    names = ["a", "b", "c", "d"]
    for name in names:
        applying.apply(parse(manifest(name=name, replicas=2, memory="100Mi")), change())

    passes_at_once(monkeypatch, names)

    assert Replica.objects.count() == 8
    assert Replica.objects.exclude(node=None).count() == 2


def test_two_that_want_to_be_apart_do_not_land_together(monkeypatch: pytest.MonkeyPatch):
    namespaces.ensure("default", change())
    report("n1")
    applying.apply(parse(manifest(name="alone", replicas=1).rstrip() + APART), change())
    applying.apply(parse(manifest(name="web", replicas=1)), change())

    passes_at_once(monkeypatch, ["alone", "web"])

    assert Replica.objects.exclude(node=None).count() == 1

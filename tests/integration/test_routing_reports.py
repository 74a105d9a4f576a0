"""A report alone changes routes: nothing waits for the pass that follows it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Endpoint, Replica, RouteEntry
from orchestrator.operations import applying, ingest, reconcile, routing
from tests.cluster import change, manifest
from tests.traffic import service
from worker import protocol


@pytest.fixture
def replica(sent: object) -> Replica:
    """A replica that a service selects, on its node and not ready yet."""
    said(1, full=True, facts=protocol.NodeFacts(runtimes=("in-memory",)))
    applying.apply(parse(service() + "---" + manifest(replicas=1)), change())
    routing.repair(now=timezone.now())
    reconcile.run(Deployment.objects.get().pk, now=timezone.now())
    return Replica.objects.get()


def said(sequence: int, *statuses: protocol.ReplicaStatus, **more: object) -> None:
    """Take a report."""
    report = protocol.NodeReport(
        node="n1", boot=1, sequence=sequence, sent_at=0.0, replicas=statuses, **more
    )
    ingest.ingest(report, now=timezone.now())


def runs(replica: Replica, **fields: object) -> protocol.ReplicaStatus:
    """Return the account of a replica that is ready, unless told otherwise."""
    usual = {"ready": True, "reason": "Running", "address": "10.0.0.1"}
    return protocol.ReplicaStatus(
        uid=replica.uid, epoch=1, phase=protocol.NodePhase.RUNNING, **usual | fields
    )


def standing() -> str:
    return Endpoint.objects.values_list("standing", flat=True).get()


def test_a_replica_that_becomes_ready_is_in_rotation(replica: Replica):
    said(2, runs(replica))

    assert standing() == "serving"


def test_a_replica_that_is_ready_no_longer_is_out(replica: Replica):
    said(2, runs(replica))

    said(3, runs(replica, ready=False))

    assert standing() == "out"


def test_a_replica_that_listens_elsewhere_is_reached_there(replica: Replica):
    said(2, runs(replica))

    said(3, runs(replica, address="10.0.0.2"))

    (port,) = RouteEntry.objects.get().payload["ports"]
    assert [one["address"] for one in port["endpoints"]] == ["10.0.0.2"]


def test_a_report_that_changes_nothing_makes_no_generation(replica: Replica):
    said(2, runs(replica))
    before = RouteEntry.objects.get().generation

    said(3, runs(replica))

    assert RouteEntry.objects.get().generation == before

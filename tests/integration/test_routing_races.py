"""Reports, passes and people at once: no route is lost, and nobody waits for ever.

Needs PostgreSQL.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
from django.db import connection, connections
from django.utils import timezone

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Endpoint, Replica, RouteEntry, Routing
from orchestrator.operations import applying, ingest, reconcile, routing
from tests.cluster import change, manifest
from tests.traffic import service
from worker import protocol

NAMES = ("a", "b", "c", "d")
LABELLED = "  template:\n    metadata: {labels: {tier: front}}\n"


@pytest.fixture(autouse=True)
def _two_connections(transactional_db: None, sent: object) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("two connections cannot write to SQLite in memory; PostgreSQL runs this")


@pytest.fixture
def cluster(sent: object) -> dict[str, Replica]:
    """One service over four deployments of one replica each, none of which is ready."""
    for name in NAMES:
        said(name, 1, full=True, facts=protocol.NodeFacts(runtimes=("in-memory",)))
        text = manifest(name=name, replicas=1).replace("  template:\n", LABELLED)
        applying.apply(parse(text), change())
    applying.apply(parse(service(selector="{tier: front}")), change())
    for deployment in Deployment.objects.all():
        reconcile.run(deployment.pk, now=timezone.now())
    return {row.deployment.name: row for row in Replica.objects.select_related("deployment")}


def said(node: str, sequence: int, *statuses: protocol.ReplicaStatus, **more: object) -> None:
    """Take a report of a node."""
    report = protocol.NodeReport(
        node=node, boot=1, sequence=sequence, sent_at=0.0, replicas=statuses, **more
    )
    ingest.ingest(report, now=timezone.now())


def ready(replica: Replica, sequence: int, *, is_ready: bool = True) -> None:
    """Take the report that a replica is ready, or not."""
    status = protocol.ReplicaStatus(
        uid=replica.uid,
        epoch=1,
        phase=protocol.NodePhase.RUNNING,
        ready=is_ready,
        reason="Running",
        address="10.0.0.1",
    )
    said(str(replica.node_id), sequence, status)


def at_once(*acts: Callable[[], object]) -> None:
    """Do all of it at the same time, each on a connection of its own."""
    together = threading.Barrier(len(acts))

    def do(act: Callable[[], object]) -> None:
        try:
            together.wait(10)
            act()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as pool:
        for done in [pool.submit(do, act) for act in acts]:
            done.result(60)


def serving() -> set[str]:
    return set(Endpoint.objects.filter(standing="serving").values_list("replica_uid", flat=True))


def test_replicas_that_become_ready_at_once_are_all_in_rotation(cluster):
    at_once(*(lambda row=row: ready(row, 2) for row in cluster.values()))

    assert serving() == {row.uid for row in cluster.values()}


def test_every_change_has_a_generation_of_its_own(cluster):
    before = Routing.objects.get().generation

    at_once(*(lambda row=row: ready(row, 2) for row in cluster.values()))

    numbers = sorted(Endpoint.objects.values_list("generation", flat=True))
    assert numbers == list(range(before + 1, before + 5))
    assert RouteEntry.objects.get().generation == Routing.objects.get().generation == before + 4


def test_a_service_made_while_replicas_become_ready_finds_them(cluster):
    other = parse(service(name="other", selector="{tier: front}"))

    at_once(
        lambda: applying.apply(other, change()),
        *(lambda row=row: ready(row, 2) for row in cluster.values()),
    )
    for deployment in Deployment.objects.all():
        reconcile.run(deployment.pk, now=timezone.now())

    found = Endpoint.objects.filter(entry__name="other", standing="serving")
    assert set(found.values_list("replica_uid", flat=True)) == {r.uid for r in cluster.values()}


def report_again_and_again(replicas: Iterable[Replica]) -> None:
    for number, row in product(range(2, 12), replicas):
        ready(row, number, is_ready=number % 2 == 0)


def reconcile_again_and_again() -> None:
    for _, pk in product(range(10), Deployment.objects.values_list("pk", flat=True)):
        reconcile.run(pk, now=timezone.now())


def change_again_and_again() -> None:
    for number in range(8):
        text = service(selector="{tier: front}", ports=f"[{{port: {80 + number}}}]")
        both = text + "---" + manifest(name="a", replicas=1, version=str(number))
        applying.apply(parse(both), change())


def test_passes_reports_and_people_never_wait_for_each_other_for_ever(cluster):
    at_once(
        lambda: report_again_and_again(cluster.values()),
        reconcile_again_and_again,
        change_again_and_again,
        lambda: routing.renew_everything(now=timezone.now()),
    )

    assert routing.repair(now=timezone.now()) == 0

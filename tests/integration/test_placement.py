"""Room on nodes: who reserves it, for how long, and who gets it next; rules that look at others."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orchestrator.core.placement.placer import Placer
from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Event, Job, Node, Replica
from orchestrator.operations import applying, ingest, namespaces, reconcile, sweep
from orchestrator.queries import snapshots
from tests.cluster import change, manifest
from worker import protocol

MIB = 1 << 20
APART = """
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
          - {labelSelector: {matchLabels: {app: web}}, topologyKey: kubernetes.io/hostname}
"""
_sequence = iter(range(1, 10_000))


def report(
    node: str,
    *statuses: protocol.ReplicaStatus,
    memory: int = 256,
    taints: tuple[tuple[str, str, str], ...] = (),
) -> ingest.Ingested:
    facts = protocol.NodeFacts(
        runtimes=("in-memory",),
        memory_bytes=memory * MIB,
        labels=(("kubernetes.io/hostname", node),),
        taints=taints,
        release="0.1.0",
    )
    message = protocol.NodeReport(
        node=node, boot=1, sequence=next(_sequence), sent_at=0.0, replicas=statuses, facts=facts
    )
    return ingest.ingest(message, now=timezone.now())


def status(replica: Replica, phase: protocol.NodePhase, **more: object) -> protocol.ReplicaStatus:
    return protocol.ReplicaStatus(
        uid=protocol.ReplicaUid(replica.uid), epoch=1, phase=phase, **more
    )


def passes() -> None:
    for pk in sweep.owed(now=timezone.now()):
        reconcile.run(pk, now=timezone.now())


def deploy(text: str) -> None:
    applying.apply(parse(text), change())
    passes()


def replicas(name: str = "web") -> list[Replica]:
    return list(Replica.objects.filter(deployment__name=name).order_by("pk"))


def reserved(node: str = "n1") -> int:
    """Return how many Mi of memory are taken on a node, as the planner sees it."""
    deployment = Deployment.objects.order_by("pk").first()
    assert deployment is not None
    seen = snapshots.load(deployment, list(deployment.revisions.all()), now=timezone.now())
    (view,) = [view for view in seen.nodes if view.name == node]
    return view.reserved.memory_bytes // MIB


def test_no_more_starts_than_a_node_has_memory_for(sent):
    report("n1")
    deploy(manifest(replicas=5, memory="100Mi"))

    assert [row.node_id for row in replicas()] == ["n1", "n1", None, None, None]
    assert replicas()[2].waiting == (
        "no node fits: n1 has 56Mi of memory left and 100Mi are requested; "
        "it would fit on n1 with memory ≤ 56Mi"
    )


def test_a_stopping_replica_keeps_its_room_until_it_is_gone(sent):
    report("n1")
    deploy(manifest(name="old", replicas=1, memory="200Mi"))
    deploy(manifest(name="new", replicas=1, memory="200Mi"))
    deploy(manifest(name="old", replicas=0, memory="200Mi"))
    assert [row.phase for row in replicas("old") + replicas("new")] == ["stopping", "pending"]

    report("n1", status(replicas("old")[0], protocol.NodePhase.STOPPED))
    passes()

    assert [row.phase for row in replicas("new")] == ["assigned"]


def test_freed_room_wakes_who_waits_at_once(sent, django_capture_on_commit_callbacks):
    report("n1")
    deploy(manifest(name="old", replicas=1, memory="200Mi"))
    deploy(manifest(name="new", replicas=1, memory="200Mi"))
    sent.clear()

    with django_capture_on_commit_callbacks(execute=True):
        assert report("n1", status(replicas("old")[0], protocol.NodePhase.STOPPED)).freed

    waiting = Deployment.objects.get(name="new").pk
    assert ("orchestrator.reconcile_deployment", "control", {"deployment_id": waiting}) in sent


def test_a_smaller_limit_frees_room_when_the_node_has_changed_it(sent):
    report("n1")
    deploy(manifest(replicas=1, memory="200Mi"))
    report("n1", status(replicas()[0], protocol.NodePhase.RUNNING))
    deploy(manifest(replicas=1, memory="50Mi"))
    assert reserved() == 200
    job = Job.objects.get(operation="update")

    done = protocol.JobResult(uid=protocol.JobUid(job.uid), outcome=protocol.JobOutcome.DONE)
    result = report("n1", status(replicas()[0], protocol.NodePhase.RUNNING, jobs=(done,)))

    assert result.freed
    assert reserved() == 50


@pytest.mark.parametrize("outcome", [protocol.JobOutcome.ACCEPTED, protocol.JobOutcome.FAILED])
def test_a_change_of_limits_that_is_not_done_frees_nothing(sent, outcome):
    report("n1")
    deploy(manifest(replicas=1, memory="200Mi"))
    report("n1", status(replicas()[0], protocol.NodePhase.RUNNING))
    deploy(manifest(replicas=1, memory="50Mi"))
    job = Job.objects.get(operation="update")

    result = protocol.JobResult(uid=protocol.JobUid(job.uid), outcome=outcome)
    report("n1", status(replicas()[0], protocol.NodePhase.RUNNING, jobs=(result,)))

    assert reserved() == 200


def test_a_larger_limit_waits_for_room_and_says_so(sent):
    report("n1")
    deploy(manifest(replicas=2, memory="100Mi"))
    report("n1", *(status(row, protocol.NodePhase.RUNNING) for row in replicas()))

    deploy(manifest(replicas=2, memory="140Mi"))

    assert reserved() == 240
    assert sorted(row.waiting for row in replicas()) == [
        "",
        "its new limits wait: node n1 has no room for 0 cpu and 140Mi of memory",
    ]
    assert Event.objects.filter(reason="ResizeWaits").count() == 1


def test_numbers_in_the_sentence_are_renewed_without_an_event(sent):
    report("n1")
    deploy(manifest(name="new", replicas=1, memory="300Mi"))
    report("n1", memory=280)
    passes()

    assert "280Mi of memory left" in replicas("new")[0].waiting
    assert Event.objects.filter(reason="Unplaceable").count() == 1


def test_who_wants_to_be_apart_keeps_later_ones_of_others_away(sent):
    report("n1")
    report("n2")
    deploy(manifest(name="alone", replicas=1).rstrip() + APART)
    taken = replicas("alone")[0].node_id

    deploy(manifest(name="web", replicas=2))

    assert {row.node_id for row in replicas("web")} == {"n1", "n2"} - {taken}


def test_who_comes_later_and_wants_to_be_apart_looks_at_others(sent):
    report("n1")
    deploy(manifest(name="web", replicas=1))

    deploy(manifest(name="alone", replicas=1).rstrip() + APART)

    assert replicas("alone")[0].waiting.startswith(
        "no node fits: n1 has a replica with app=web in it"
    )


def test_another_namespace_is_not_looked_at(sent):
    report("n1")
    deploy(manifest(name="web", replicas=1))
    applied = manifest(name="alone", replicas=1).rstrip() + APART
    namespaces.ensure("other", change())

    deploy(applied.replace("  name: alone", "  name: alone\n  namespace: other"))

    assert replicas("alone")[0].node_id == "n1"


def test_a_node_where_it_died_lately_comes_later_and_its_image_is_remembered(sent):
    for node in ("n1", "n2"):
        report(node)
    deploy(manifest(replicas=1))
    death = protocol.LatestDeath(exit_code=1, finished_at=timezone.now().timestamp())
    once = {"restarts": 1, "started_at": 1.0, "death": death}
    report("n1", status(replicas()[0], protocol.NodePhase.RUNNING, **once))
    row = Deployment.objects.get()

    now, later = timezone.now(), timezone.now() + timedelta(minutes=11)
    fresh, old = (snapshots.load(row, list(row.revisions.all()), now=at) for at in (now, later))

    assert [(view.failures, set(view.images)) for view in fresh.nodes] == [
        (1, {"app:1"}),
        (0, set()),
    ]
    assert [view.failures for view in old.nodes] == [0, 0]
    assert Placer(fresh).place(fresh.revisions[0]) == "n2"


def test_a_snapshot_takes_as_many_queries_for_many_as_for_few(sent):
    report("n1", memory=100_000)
    for index in range(8):
        deploy(manifest(name=f"d{index}", replicas=index + 1).rstrip() + APART)
    row = Deployment.objects.get(name="d0")
    revisions = list(row.revisions.all())

    with CaptureQueriesContext(
        connection,
    ) as queries:
        snapshots.load(row, revisions, now=timezone.now())

    assert len(queries) == 6


def test_capacity_that_grows_wakes_who_waits(sent, django_capture_on_commit_callbacks):
    report("n1")
    deploy(manifest(replicas=1, memory="300Mi"))
    sent.clear()

    with django_capture_on_commit_callbacks(execute=True):
        report("n1", memory=400)

    assert [task for task, _, _ in sent] == ["orchestrator.reconcile_deployment"]
    assert Node.objects.get().memory_bytes == 400 * MIB


def test_replicas_of_an_earlier_release_reserve_what_they_requested(sent):
    report("n1")
    deploy(manifest(replicas=1, memory="100Mi"))
    Replica.objects.update(memory_bytes_requested=0)
    assert reserved() == 0

    migration = import_module("orchestrator.migrations.0006_placement")
    migration.reserve_for_existing(apps, None)

    assert reserved() == 100

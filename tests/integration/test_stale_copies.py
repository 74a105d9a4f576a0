"""What still runs on a node that came back takes room there until it is gone."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.core.lifecycle import NodeState
from orchestrator.models import Deployment, Event, Job, Node, Replica
from orchestrator.operations import nodes as operations
from orchestrator.operations import reconcile
from orchestrator.queries import snapshots
from tests.cluster import change, manifest
from tests.integration.api.requests import apply
from tests.played_nodes import Nodes, ended, status

SIZE = 64 << 20


@pytest.fixture
def stale(api: APIClient) -> tuple[Nodes, Replica]:
    """A replica on n1, which fell silent, and its successor on n2; each has room for one."""
    played = Nodes()
    played.join("n1")
    apply(api, manifest(replicas=1))
    played.settle()
    played.join("n2")
    Node.objects.update(memory_bytes=SIZE)
    lost = {"state": NodeState.LOST, "lost_at": played.now}
    Node.objects.filter(name="n1").update(**lost)
    there = Replica.objects.get()
    played.look(there)
    successor = Replica.objects.get(node="n2")
    played.say("n2", status(successor, 0, ready=True))
    return played, there


def reserved(name: str) -> int:
    """Return how much memory is reserved on a node, as passes see it."""
    row = Deployment.objects.get(name="web")
    snapshot = snapshots.load(row, list(row.revisions.all()), now=timezone.now())
    return {node.name: node.reserved.memory_bytes for node in snapshot.nodes}[name]


def test_the_copy_on_a_node_that_returns_takes_room_until_it_has_stopped(stale, api: APIClient):
    nodes, there = stale
    nodes.answer("n1")
    nodes.say("n1", status(there, 0, ready=False))
    nodes.look(there)
    there.refresh_from_db()
    assert (there.phase, reserved("n1")) == ("stopping", SIZE)

    apply(api, manifest(name="next", replicas=1))
    waiting = Deployment.objects.get(name="next")
    reconcile.run(waiting.pk, now=nodes.now)
    assert "n1 has 0Ki of memory left" in waiting.replica_set.get().waiting

    nodes.say("n1", ended(there))
    reconcile.run(waiting.pk, now=nodes.now)

    assert (waiting.replica_set.get().node_id, reserved("n1")) == ("n1", SIZE)


def test_what_was_written_off_with_a_node_is_stopped_when_that_returns(stale):
    nodes, there = stale
    operations.forget("n1", change(now=nodes.now))
    nodes.join("n1")

    nodes.say("n1", status(there, 0, ready=True), full=True)

    there.refresh_from_db()
    assert (there.phase, there.node_id, there.ready) == ("lost", "n1", False)
    assert [job.operation for job in Job.objects.filter(node="n1")] == ["stop"]
    assert "after its end" in Event.objects.get(reason="Leftover").message


@pytest.mark.parametrize("way", ["told", "no longer listed"])
def test_what_was_written_off_takes_room_until_it_is_gone(stale, way: str):
    nodes, there = stale
    operations.forget("n1", change(now=nodes.now))
    nodes.join("n1")
    nodes.say("n1", status(there, 0, ready=True), full=True)
    nodes.say("n1", status(there, 0, ready=True))
    assert reserved("n1") == SIZE

    if way == "told":
        nodes.say("n1", ended(there))
    else:
        nodes.say("n1", full=True)

    assert reserved("n1") == 0


def test_nobody_takes_over_what_waits_for_a_node_or_runs_elsewhere(stale):
    nodes, there = stale
    nodes.join("n3")
    Replica.objects.filter(pk=there.pk).update(node=None, phase="pending")
    elsewhere = Replica.objects.get(node="n2")

    nodes.say("n3", *(status(row, 0, ready=True) for row in (there, elsewhere)), full=True)

    there.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (there.node_id, there.phase, elsewhere.node_id) == (None, "pending", "n2")
    assert not Job.objects.filter(node="n3").exists()

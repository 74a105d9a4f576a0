"""Failures in reports become a move to another node, with its reason wherever people look."""

from __future__ import annotations

from datetime import timedelta

import pytest
from rest_framework.test import APIClient

from orchestrator.models import Deployment, Event, Node, Replica
from orchestrator.operations import reconcile
from tests.cluster import manifest
from tests.integration.api.requests import apply
from tests.played_nodes import Nodes, status
from worker import protocol


@pytest.fixture
def nodes(api: APIClient) -> Nodes:
    """Nodes n1 and n2; one replica of web runs on n1, and its rollout is complete."""
    played = Nodes()
    played.join("n1")
    apply(api, manifest(replicas=1))
    reconcile.run(Deployment.objects.get().pk, now=played.now)
    played.runs(Replica.objects.get())
    played.join("n2")
    return played


def test_five_failures_in_reports_move_a_replica(nodes: Nodes, api: APIClient):
    there = Replica.objects.get()
    nodes.fails(there, 4)
    assert Replica.objects.count() == 1

    nodes.fails(there, 1)

    moved = Replica.objects.get(node="n2")
    shown = api.get(f"/api/v1/replicas/{moved.uid}/").json()
    assert shown["origin"] == "moved from n1 to n2 after 5 failures in 10 minutes"
    event = Event.objects.get(reason="Rescheduled", replica=moved.uid)
    assert (event.message, event.severity) == (shown["origin"], "warning")
    assert (moved.replaces, moved.moves) == (there.uid, 1)


def test_the_old_one_stops_once_the_new_one_serves(nodes: Nodes):
    there = Replica.objects.get()
    nodes.fails(there, 5)
    there.refresh_from_db()
    assert there.phase == "running"

    nodes.runs(Replica.objects.get(node="n2"))

    there.refresh_from_db()
    assert (there.phase, there.reason) == ("stopping", "Rescheduled")
    assert (
        "moves away from n1 after 5 failures" in Event.objects.filter(replica=there.uid)[0].message
    )


def test_slow_failures_move_nothing(nodes: Nodes):
    nodes.fails(Replica.objects.get(), 12, apart=150)

    assert Replica.objects.count() == 1


def test_failures_of_an_outage_told_at_once_move_nothing(nodes: Nodes):
    there = Replica.objects.get()
    nodes.now += timedelta(hours=2)

    nodes.say("n1", status(there, 20, ready=False))
    nodes.look(there)

    assert Replica.objects.count() == 1


def test_a_report_that_repeats_a_failure_counts_it_once(nodes: Nodes):
    there = Replica.objects.get()
    for _ in range(9):
        nodes.say("n1", status(there, 1, ready=False))

    there.refresh_from_db()
    assert len(there.failures) == 1


def test_with_no_other_node_it_stays_and_says_so(nodes: Nodes, api: APIClient):
    Node.objects.filter(name="n2").update(cordoned=True)
    there = Replica.objects.get()

    nodes.fails(there, 7)

    shown = api.get(f"/api/v1/replicas/{there.uid}/").json()
    assert "keeps failing on n1" in shown["waiting"]
    assert "n2 is cordoned" in shown["waiting"]
    assert Event.objects.filter(reason="RescheduleWaits").count() == 1


def test_what_crashes_on_the_next_node_as_well_stays_there_for_a_while(nodes: Nodes):
    first = Replica.objects.get()
    nodes.fails(first, 5)
    second = Replica.objects.get(node="n2")

    nodes.fails(second, 8)

    assert Replica.objects.count() == 2
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.phase, second.phase) == ("stopping", "running")
    assert "moves again after" in second.waiting


def test_a_node_that_failed_lately_is_ranked_behind_others(nodes: Nodes, api: APIClient):
    nodes.fails(Replica.objects.get(), 1)
    apply(api, manifest(replicas=2))

    nodes.look(Replica.objects.get())

    assert Replica.objects.order_by("pk").last().node_id == "n2"


@pytest.mark.parametrize(("number", "count"), [(2, 2), (0, 1)], ids=["two", "never"])
def test_how_many_failures_it_takes_is_a_setting(nodes: Nodes, settings, number, count):
    settings.RESCHEDULE = (number, 600, 600)

    nodes.fails(Replica.objects.get(), 6)

    assert Replica.objects.count() == count


def test_a_stop_that_was_asked_for_is_no_failure(nodes: Nodes):
    there = Replica.objects.get()
    ended = protocol.ReplicaStatus(
        uid=protocol.ReplicaUid(there.uid),
        epoch=1,
        phase=protocol.NodePhase.STOPPED,
        death=protocol.LatestDeath(finished_at=nodes.now.timestamp(), exit_code=0, log_tail=""),
    )

    nodes.say("n1", ended)

    there.refresh_from_db()
    assert (there.died_at is not None, there.failed_at) == (True, None)

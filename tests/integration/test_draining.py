"""Emptying a node: what is asked for, what is shown, and when it is over."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.models import Event, Node, Replica
from orchestrator.operations import draining, nodes
from orchestrator.operations.accounts import Role
from orchestrator.queries import drains
from tests.cluster import Cluster, change, manifest
from tests.integration.api.requests import post
from tests.integration.conftest import client_of

DRAIN = "/api/v1/nodes/n1/drain/"


@pytest.fixture
def elsewhere(cluster: Cluster) -> Node:
    """Another node, whose agent is played by `serve` below; n1 carries two replicas of web."""
    cluster.apply(manifest(replicas=2))
    now = timezone.now()
    return Node.objects.create(name="n2", runtimes=["in-memory"], joined_at=now, seen_at=now)


@pytest.fixture
def admin(db: None) -> APIClient:
    return client_of(Role.ADMIN)


def serve(cluster: Cluster) -> None:
    """Let everything on the other node run and be ready, then let the planner look."""
    rows = Replica.objects.filter(node="n2", phase=ReplicaPhase.ASSIGNED)
    rows.update(phase=ReplicaPhase.RUNNING, ready=True, ready_at=timezone.now())
    cluster.pass_at(0)
    cluster.settle()


def on(node: str) -> int:
    return sum(replica.node_id == node for replica in Replica.objects.filter(phase="running"))


def test_replicas_move_one_by_one_and_the_node_is_said_to_be_empty(
    cluster: Cluster, elsewhere: Node, admin: APIClient
):
    begun = post(admin, DRAIN, {}).json()
    assert (begun["draining"], len(begun["moves"]), begun["drained_at"]) == (True, 2, None)
    assert (on("n1"), Replica.objects.filter(node="n2").count()) == (2, 1)

    serve(cluster)
    assert (on("n1"), on("n2")) == (1, 1)
    serve(cluster)
    serve(cluster)

    assert (on("n1"), on("n2")) == (0, 2)
    ended = admin.get(DRAIN).json()
    assert (ended["moves"], ended["drained_at"] is not None) == ([], True)
    assert Event.objects.filter(reason="NodeDrained", node="n1").count() == 1
    assert cluster.deployment().settled


def test_the_plan_is_shown_before_and_changes_nothing(elsewhere: Node, admin: APIClient):
    shown = admin.get(DRAIN).json()

    assert not shown["draining"]
    assert {move["message"] for move in shown["moves"]} == {"a replacement starts on n2 first"}
    assert not Node.objects.get(name="n1").cordoned
    assert not Replica.objects.filter(node="n2").exists()


def test_what_cannot_leave_says_why(cluster: Cluster, admin: APIClient):
    cluster.apply(manifest(replicas=1))

    shown = post(admin, DRAIN, {}).json()

    assert shown["blocked"] == 1
    assert "n1 is being drained" in shown["moves"][0]["message"]
    assert cluster.containers() == [cluster.container_of(cluster.live()[0])]


def test_uncordoning_ends_a_drain_and_takes_the_spare_one_back(
    cluster: Cluster, elsewhere: Node, admin: APIClient
):
    post(admin, DRAIN, {})

    post(admin, "/api/v1/nodes/n1/uncordon/")

    node = Node.objects.get(name="n1")
    assert (node.draining, node.cordoned) == (False, False)
    assert len(cluster.live()) == 2
    assert not admin.get(DRAIN).json()["draining"]


def test_what_is_left_at_the_deadline_stops(cluster: Cluster, elsewhere: Node, admin: APIClient):
    post(admin, DRAIN, {"deadline_seconds": 60})
    assert on("n1") == 2

    cluster.pass_at(61)
    cluster.settle()

    assert on("n1") == 0


def test_an_empty_node_is_drained_at_once(cluster: Cluster):
    assert draining.drain("n1", change()).drained_at is not None


@pytest.mark.parametrize("seconds", [0, -1, 2592001])
def test_a_deadline_that_makes_no_sense_is_refused(
    cluster: Cluster, admin: APIClient, seconds: int
):
    answer = post(admin, DRAIN, {"deadline_seconds": seconds})

    assert answer.status_code == 422
    assert "from 1 to 2592000" in answer.json()["detail"]
    assert not Node.objects.get(name="n1").draining


def test_a_node_that_does_not_exist_cannot_be_drained(cluster: Cluster, admin: APIClient):
    assert post(admin, "/api/v1/nodes/none/drain/", {}).status_code == 404
    assert admin.get("/api/v1/nodes/none/drain/").status_code == 404
    with pytest.raises(nodes.NodeNotFound):
        draining.drain("none", change())


def test_the_plan_takes_as_many_queries_for_many_deployments(
    cluster: Cluster, django_assert_num_queries
):
    cluster.apply("\n---\n".join(manifest(name=f"web-{n}", replicas=1) for n in range(6)))

    with django_assert_num_queries(7):
        found = drains.get("n1", now=timezone.now())

    assert found is not None
    assert len(found.moves) == 6


def test_a_drain_is_an_act_of_whoever_asked(cluster: Cluster, admin: APIClient):
    post(admin, DRAIN, {})

    event = Event.objects.get(reason="NodeDrain", verb="drain")
    assert (event.kind, event.name) == ("node", "n1")
    assert client_of(Role.OPERATOR).post(DRAIN).status_code == 403

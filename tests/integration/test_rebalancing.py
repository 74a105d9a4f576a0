"""A rebalance on real rows: proposed, begun, carried out in passes, dropped, cancelled."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.models import Deployment, Event, Node, Rebalance, RebalanceMove, Replica
from orchestrator.operations import rebalancing, sweep
from orchestrator.operations.accounts import Role
from orchestrator.queries import rebalances
from tests.cluster import change, manifest
from tests.integration.api.requests import apply, post, send
from tests.integration.conftest import client_of
from tests.played_nodes import Nodes

PATH = "/api/v1/nodes/rebalance/"
PLAN = f"{PATH}?plan"


@pytest.fixture
def nodes(api: APIClient) -> Nodes:
    """Six replicas of web on n1; n2 and n3 have joined since and are empty."""
    played = Nodes()
    played.join("n1")
    apply(api, manifest(replicas=6))
    played.settle()
    played.join("n2")
    played.join("n3")
    return played


def places() -> list[int]:
    """Return how many live replicas n1, n2 and n3 have."""
    live = Replica.objects.filter(phase__in=("assigned", "running"))
    return [live.filter(node=name).count() for name in ("n1", "n2", "n3")]


def test_the_plan_changes_nothing_and_says_gain_and_cost(nodes: Nodes, api: APIClient):
    plan = api.get(PLAN).json()

    assert (plan["state"], len(plan["moves"]), places()) == ("proposed", 4, [6, 0, 0])
    assert (plan["before"]["pairs"], plan["after"]["pairs"]) == (15, 3)
    first = plan["moves"][0]
    assert (first["from_node"], first["to_node"]) == ("n1", "n2")
    assert first["gain"] == "n1 runs 6 of its 6 replicas and n2 0; then 5 and 1"
    assert "one replica starts anew" in first["cost"]
    assert post(api, PLAN).json() == plan
    assert not Rebalance.objects.exists()


def test_applying_moves_one_after_the_other_and_leaves_nothing_to_gain(
    nodes: Nodes, api: APIClient
):
    begun = post(api, PATH, {}).json()
    assert (begun["state"], {move["state"] for move in begun["moves"]}) == ("running", {"waiting"})

    nodes.look(Replica.objects.all()[0])
    assert places() == [6, 1, 0]
    nodes.settle()

    assert places() == [2, 2, 2]
    ended = api.get(PATH).json()
    assert (ended["state"], {move["state"] for move in ended["moves"]}) == ("done", {"done"})
    assert api.get(PLAN).json()["moves"] == []
    assert "nothing to gain" in api.get(PLAN).json()["message"]
    assert Event.objects.get(reason="RebalanceEnded").message.endswith("4 moved, 0 dropped")


def test_the_successor_says_from_where_it_was_moved_and_why(nodes: Nodes, api: APIClient):
    post(api, PATH, {})
    nodes.settle()

    moved = Replica.objects.filter(node="n2", phase="running").first()
    assert moved is not None
    assert moved.origin.startswith("moved from n1 to n2 (n1 runs ")
    events = Event.objects.filter(replica=moved.replaces)
    assert {event.reason for event in events} >= {"MoveDone", "Rebalanced"}
    begun = Event.objects.get(reason="Rebalance")
    assert begun.message.startswith("4 moves to spread replicas better")


def test_a_move_under_way_says_what_it_waits_for(nodes: Nodes, api: APIClient):
    post(api, PATH, {})
    nodes.look(Replica.objects.all()[0])

    first, second = api.get(PATH).json()["moves"][:2]

    assert (first["state"], second["state"]) == ("moving", "waiting")
    assert f"{first['successor']} on n2 has still to serve" == first["message"]
    assert "one at a time of default/web" in second["message"]


def test_cancelling_begins_no_further_move_and_takes_the_open_one_back(
    nodes: Nodes, api: APIClient
):
    post(api, PATH, {})
    nodes.look(Replica.objects.all()[0])

    cancelled = api.delete(PATH).json()
    nodes.look(Replica.objects.all()[0])
    nodes.settle()

    assert (cancelled["state"], places()) == ("cancelled", [6, 0, 0])
    assert {move["state"] for move in cancelled["moves"]} == {"cancelled"}
    assert not Deployment.objects.get().rebalancing


def test_a_node_closed_meanwhile_drops_its_moves_with_the_reason(nodes: Nodes, api: APIClient):
    post(api, PATH, {})
    Node.objects.filter(name="n2").update(cordoned=True)

    nodes.settle()

    rows = RebalanceMove.objects.order_by("pk")
    assert {(row.target, row.state) for row in rows} == {("n2", "dropped"), ("n3", "done")}
    assert "n2 is cordoned" in rows[0].message
    assert Event.objects.filter(reason="MoveDropped", severity="warning").count() == 2


def test_a_rollout_that_begins_drops_what_is_left(nodes: Nodes, api: APIClient):
    post(api, PATH, {})
    apply(api, manifest(replicas=6, version="2"))

    nodes.settle()

    assert set(RebalanceMove.objects.values_list("state", flat=True)) == {"dropped"}
    assert api.get(PATH).json()["state"] == "done"
    assert sum(places()) == 6


def test_deleting_a_deployment_ends_its_rebalance(nodes: Nodes, api: APIClient):
    post(api, PATH, {})
    api.delete("/api/v1/namespaces/default/deployments/web/")

    nodes.settle()

    assert not Deployment.objects.exists()
    assert not Rebalance.objects.get().running
    assert api.get(PATH).json()["moves"][0]["deployment"] == "web"


def test_only_one_runs_at_a_time(nodes: Nodes, api: APIClient):
    post(api, PATH, {})

    answer = post(api, PATH, {})

    assert (answer.status_code, "running already" in answer.json()["detail"]) == (409, True)
    assert "rebalanced already" in api.get(PLAN).json()["skipped"][0]


def test_what_was_looked_at_is_what_is_done(nodes: Nodes, api: APIClient):
    digest = api.get(PLAN).json()["digest"]
    Node.objects.filter(name="n3").update(cordoned=True)

    refused = post(api, PATH, {"digest": digest})

    assert (refused.status_code, "look at it again" in refused.json()["detail"]) == (409, True)
    assert post(api, PATH, {"digest": api.get(PLAN).json()["digest"]}).status_code == 200


def test_with_nothing_to_gain_or_to_cancel_it_is_refused(nodes: Nodes, api: APIClient):
    assert "no rebalance is running" in api.delete(PATH).json()["detail"]
    Node.objects.exclude(name="n1").update(cordoned=True)

    answer = post(api, PATH, {})

    assert (answer.status_code, "nothing to gain" in answer.json()["detail"]) == (409, True)
    assert api.get(PATH).json()["state"] == "none"


@pytest.mark.parametrize("body", [{"digest": 5.5, "x": 1}, {"force": True}, []])
def test_a_body_nobody_understands_is_refused(nodes: Nodes, api: APIClient, body):
    assert send(api, "POST", PATH, body).status_code == 400
    assert not Rebalance.objects.exists()


def test_operators_may_and_viewers_may_only_look(nodes: Nodes):
    viewer = client_of(Role.VIEWER)
    assert viewer.get(PLAN).status_code == 200
    assert (viewer.post(PATH).status_code, viewer.delete(PATH).status_code) == (403, 403)

    assert client_of(Role.OPERATOR).post(PATH).status_code == 200


def test_the_proposal_takes_as_many_queries_for_many_deployments(
    nodes: Nodes, api: APIClient, django_assert_num_queries
):
    apply(api, "\n---\n".join(manifest(name=f"w-{n}", replicas=1) for n in range(8)))
    nodes.settle()

    with django_assert_num_queries(7):
        rebalances.propose(now=nodes.now)


def test_a_node_where_it_failed_lately_is_left_alone(nodes: Nodes, api: APIClient):
    gone = Replica.objects.all()[0]
    gone.pk, gone.uid, gone.phase, gone.node_id = None, "gone", "stopped", "n2"
    gone.failed_at = timezone.now()
    gone.save()

    assert {move["to_node"] for move in api.get(PLAN).json()["moves"]} == {"n3"}


def test_old_ones_are_forgotten(nodes: Nodes):
    rebalancing.begin(change(now=nodes.now))
    rebalancing.cancel(change(now=nodes.now))

    sweep.prune(now=nodes.now + sweep.EVENTS_KEPT * 2)

    assert not RebalanceMove.objects.exists()

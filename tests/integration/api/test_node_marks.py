"""Labels and taints people give to nodes, and the explanation of what still waits."""

from __future__ import annotations

import pytest
from django.test import Client
from rest_framework.test import APIClient

from orchestrator.models import Event, Node, Replica
from tests.cluster import manifest
from tests.integration.api.requests import apply, send
from tests.integration.test_placement import passes, report

N1 = "/api/v1/nodes/n1/"
GPU = {"key": "gpu", "value": "", "effect": "NoSchedule"}


@pytest.fixture
def node(api: APIClient) -> APIClient:
    """The API, and a node that reports its own name as a label."""
    report("n1")
    return api


def change(api: APIClient, **body: object):
    return send(api, "PATCH", N1, body)


def test_labels_are_merged_and_win_over_the_nodes_own(node: APIClient):
    Node.objects.update(labels={"disk": "hdd"})

    change(node, labels={"disk": "ssd", "zone": "a"})
    answer = change(node, labels={"zone": None})

    assert answer.json()["labels"] == {"disk": "ssd"}
    assert change(node, labels={"disk": None}).json()["labels"] == {"disk": "hdd"}


def test_a_report_leaves_what_people_gave(node: APIClient):
    change(node, labels={"zone": "a"}, taints=[GPU])

    report("n1")

    body = node.get(N1).json()
    assert (body["labels"]["zone"], body["taints"]) == ("a", [GPU])


def test_a_node_begins_with_the_taints_it_asks_for_and_people_change_them(api: APIClient):
    report("n1", taints=(("gpu", "", "NoSchedule"),))
    begun = api.get(N1).json()["taints"]

    change(api, taints=[])
    report("n1", taints=(("gpu", "", "NoSchedule"),))

    assert begun == [GPU]
    assert api.get(N1).json()["taints"] == []


def test_a_taint_that_cannot_be_is_not_taken(api: APIClient):
    report("n1", taints=(("gpu", "", "NoSuchEffect"),))

    assert api.get(N1).json()["taints"] == []


def test_taints_are_replaced_and_left_alone_when_not_given(node: APIClient):
    assert change(node, taints=[GPU]).json()["taints"] == [GPU]
    assert change(node, labels={"zone": "a"}).json()["taints"] == [GPU]
    assert change(node, taints=[]).json()["taints"] == []


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        pytest.param(
            {"labels": {"kubernetes.io/hostname": "n2"}},
            409,
            "kubernetes.io/hostname is set by node n1 itself and cannot be changed",
            id="its-own",
        ),
        pytest.param(
            {"labels": {"rack": None}},
            409,
            "node n1 reports the label rack itself; take it out of the --label options "
            "it is started with",
            id="reported",
        ),
        pytest.param({"labels": {"a b": "c"}}, 422, "a key is a name", id="key"),
        pytest.param({"labels": {"a": 1}}, 422, "must be a string", id="number"),
        pytest.param({"labels": []}, 422, "must be a map", id="no-map"),
        pytest.param({"label": {}}, 422, 'did you mean "labels"?', id="unknown-field"),
        pytest.param(
            {"taints": [{**GPU, "effect": "NoExecute"}]},
            422,
            "taints[0].effect: NoExecute is not supported",
            id="no-execute",
        ),
        pytest.param({"taints": [GPU, GPU]}, 422, "repeats a key with its effect", id="twice"),
        pytest.param({"taints": [{"key": "a"}]}, 422, "taints[0].effect: is required", id="effect"),
    ],
)
def test_what_cannot_be_is_refused_in_words(node: APIClient, body, status, told):
    Node.objects.update(labels={"rack": "1"})

    answer = change(node, **body)

    assert answer.status_code == status
    assert told in answer.json()["detail"]
    assert Node.objects.get().given_labels == {}
    assert not Event.objects.filter(kind="node").exclude(verb="").exists()


def test_an_unknown_node_is_not_found(api: APIClient):
    assert change(api, labels={"a": "b"}).status_code == 404


def test_a_label_wakes_what_waited_for_it(
    node: APIClient, django_capture_on_commit_callbacks, sent
):
    picky = manifest(replicas=1).replace(
        "    spec:\n", "    spec:\n      nodeSelector: {zone: a}\n"
    )
    apply(node, picky)
    passes()
    sent.clear()

    with django_capture_on_commit_callbacks(execute=True):
        change(node, labels={"zone": "a"})
    passes()

    assert "orchestrator.reconcile_deployment" in [task for task, _, _ in sent]
    assert Replica.objects.get().node_id == "n1"


@pytest.fixture
def waiting(node: APIClient) -> str:
    """The id of a replica that neither node takes."""
    report("n2")
    send(node, "PATCH", "/api/v1/nodes/n2/", {"taints": [GPU]})
    apply(node, manifest(replicas=1, memory="300Mi"))
    passes()
    return Replica.objects.get().uid


def test_a_waiting_replica_explains_itself_by_every_node(node: APIClient, waiting: str):
    body = node.get(f"/api/v1/replicas/{waiting}/").json()

    memory = "has 256Mi of memory left and 300Mi are requested"
    assert body["explanation"] == {
        "message": body["waiting"],
        "nodes": [
            {"node": "n1", "objections": [memory]},
            {"node": "n2", "objections": ["has the taint gpu:NoSchedule, not tolerated", memory]},
        ],
        "fix": "would fit on n1 with memory ≤ 256Mi",
    }


def test_the_explanation_says_what_is_so_now(node: APIClient, waiting: str):
    report("n1", memory=400)

    explanation = node.get(f"/api/v1/replicas/{waiting}/").json()["explanation"]

    assert explanation["message"] == "it fits on n1 now"
    assert (explanation["nodes"][0]["objections"], explanation["fix"]) == ([], "")


def test_a_replica_that_has_a_node_needs_none(node: APIClient):
    apply(node, manifest(replicas=1))
    passes()

    body = node.get(f"/api/v1/replicas/{Replica.objects.get().uid}/").json()

    assert body["explanation"] is None


@pytest.mark.usefixtures("plain_static_files")
def test_pages_show_why_a_replica_waits_and_the_taints_of_a_node(
    node: APIClient, waiting: str, client: Client, admin_user
):
    client.force_login(admin_user)

    replica = client.get(f"/replicas/{waiting}/").content.decode()
    deployment = client.get("/deployments/default/web/").content.decode()
    tainted = client.get("/nodes/n2/").content.decode()

    assert replica.count("has 256Mi of memory left and 300Mi are requested") > 2
    assert "What each node has against it" in replica
    assert "would fit on n1 with memory ≤ 256Mi" in deployment
    assert "gpu:NoSchedule" in tainted

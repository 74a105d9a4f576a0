"""Replicas, nodes, jobs, events and namespaces over HTTP."""

from __future__ import annotations

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.models import Job, Replica
from orchestrator.operations import ingest, reconcile, sweep
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post
from worker import protocol


def report(*statuses: protocol.ReplicaStatus, sequence: int = 1, **more: object) -> None:
    message = protocol.NodeReport(
        node="n1", boot=1, sequence=sequence, sent_at=0.0, replicas=statuses, **more
    )
    ingest.ingest(message, now=timezone.now())


def run_passes() -> None:
    for pk in sweep.owed(now=timezone.now()):
        reconcile.run(pk, now=timezone.now())


@pytest.fixture
def replicas(api: APIClient) -> list[Replica]:
    """Two replicas of `web` on node n1, the first one running."""
    facts = protocol.NodeFacts(runtimes=("in-memory",), labels=(("zone", "a"),))
    report(full=True, facts=facts)
    apply(api, manifest(replicas=2))
    run_passes()
    rows = list(Replica.objects.order_by("slot"))
    running = protocol.ReplicaStatus(
        uid=rows[0].uid,
        epoch=1,
        phase=protocol.NodePhase.RUNNING,
        ready=True,
        reason="Running",
        ports=((80, 32768),),
    )
    report(running, sequence=2)
    return rows


def results(answer) -> list[dict]:
    assert answer.status_code == 200, answer.content
    return answer.json()["results"]


def test_a_replica_reads_as_its_node_told(api: APIClient, replicas: list[Replica]):
    body = api.get(f"/api/v1/replicas/{replicas[0].uid}/").json()

    assert (body["namespace"], body["deployment"], body["revision"]) == ("default", "web", 1)
    assert (body["node"], body["phase"], body["ready"]) == ("n1", "running", True)
    assert body["ports"] == [[80, 32768]]


@pytest.mark.parametrize(
    ("query", "slots"),
    [
        ("", [0, 1]),
        ("?phase=running", [0]),
        ("?phase=assigned", [1]),
        ("?node=n1", [0, 1]),
        ("?node=n2", []),
        ("?namespace=default&deployment=web", [0, 1]),
        ("?namespace=shop", []),
        ("?deployment=other", []),
    ],
)
@pytest.mark.usefixtures("replicas")
def test_replicas_filter(api: APIClient, query: str, slots: list[int]):
    assert [row["slot"] for row in results(api.get(f"/api/v1/replicas/{query}"))] == slots


@pytest.mark.usefixtures("replicas")
def test_the_replicas_of_a_deployment_are_its_own(api: APIClient):
    apply(api, manifest(name="other", replicas=1))
    run_passes()

    rows = results(api.get(f"{WEB}replicas/"))

    assert {row["deployment"] for row in rows} == {"web"}
    assert [row["slot"] for row in results(api.get(f"{WEB}replicas/?phase=running"))] == [0]


def test_deleting_a_replica_replaces_it(api: APIClient, replicas: list[Replica]):
    uid = replicas[0].uid

    answer = api.delete(f"/api/v1/replicas/{uid}/")

    assert (answer.status_code, answer.json()["phase"]) == (202, "stopping")
    assert Job.objects.filter(replica_uid=uid, operation="stop").count() == 1
    assert api.delete(f"/api/v1/replicas/{uid}/").status_code == 409


def test_gone_replicas_are_shown_when_asked_for(api: APIClient, replicas: list[Replica]):
    Replica.objects.filter(pk=replicas[0].pk).update(phase="stopped")

    def slots(query: str) -> list[int]:
        return [row["slot"] for row in results(api.get(f"/api/v1/replicas/{query}"))]

    assert slots("") == [1]
    assert slots("?all=false") == [1]
    assert slots("?all=true") == [0, 1]
    assert slots("?phase=stopped") == [0]


def test_retrying_tells_the_node_at_once(api: APIClient, replicas: list[Replica], sent: list):
    sent.clear()

    answer = post(api, f"/api/v1/replicas/{replicas[0].uid}/retry/")

    assert answer.status_code == 202
    assert [(task, queue) for task, queue, _ in sent] == [] or sent[0][1] == "node.n1"
    assert Job.objects.filter(operation="retry").count() == 1


@pytest.mark.usefixtures("replicas")
def test_a_node_reads_as_it_described_itself(api: APIClient):
    body = api.get("/api/v1/nodes/n1/").json()

    assert results(api.get("/api/v1/nodes/")) == [body]
    assert (body["labels"], body["runtimes"], body["replicas"]) == ({"zone": "a"}, ["in-memory"], 2)


@pytest.mark.usefixtures("replicas")
def test_cordoning_and_back(api: APIClient):
    assert post(api, "/api/v1/nodes/n1/cordon/").json()["cordoned"] is True
    assert post(api, "/api/v1/nodes/n1/cordon/").json()["cordoned"] is True
    assert post(api, "/api/v1/nodes/n1/uncordon/").json()["cordoned"] is False
    events = results(api.get("/api/v1/events/?node=n1&reason=NodeCordoned"))
    assert [event["actor"] for event in events] == ["admin"]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 2),
        ("?state=sent", 1),
        ("?state=done", 0),
        ("?node=n1", 2),
        ("?node=n2", 0),
        ("?deployment=web&namespace=default", 2),
        ("?replica=none", 0),
    ],
)
def test_jobs_filter(api: APIClient, replicas: list[Replica], query: str, count: int):
    Job.objects.filter(replica_uid=replicas[0].uid).update(state="accepted")
    Job.objects.filter(replica_uid=replicas[1].uid).update(state="sent")

    assert len(results(api.get(f"/api/v1/jobs/{query}"))) == count


def test_events_filter_and_go_on_from_an_id(api: APIClient, replicas: list[Replica]):
    everything = results(api.get("/api/v1/events/"))
    middle = everything[len(everything) // 2]

    newer = results(api.get(f"/api/v1/events/?since={middle['id']}"))
    of_one = results(api.get(f"/api/v1/events/?replica={replicas[0].uid}"))

    assert newer == everything[: len(everything) // 2]
    assert {event["replica"] for event in of_one} == {replicas[0].uid}
    assert 0 < len(of_one) < len(everything)


def test_an_event_leads_back_to_its_cause(api: APIClient, replicas: list[Replica]):
    newest = results(api.get(f"/api/v1/events/?replica={replicas[0].uid}"))[0]

    body = api.get(f"/api/v1/events/{newest['id']}/").json()

    chain = body.pop("cause_chain")
    assert body == newest
    assert [event["id"] for event in chain[:1]] == [newest["cause"]]
    assert [event["cause"] for event in chain] == [event["id"] for event in chain[1:]] + [None]
    assert (chain[-1]["reason"], chain[-1]["actor"]) == ("Created", "admin")


def test_a_first_cause_has_no_chain(api: APIClient):
    apply(api, manifest())
    created = results(api.get("/api/v1/events/?reason=Created&deployment=web"))[0]

    assert api.get(f"/api/v1/events/{created['id']}/").json()["cause_chain"] == []


def test_namespaces_come_and_go(api: APIClient):
    path = "/api/v1/namespaces/"
    created, again = post(api, path, {"name": "shop"}), post(api, path, {"name": "shop"})

    assert (created.status_code, again.status_code) == (201, 200)
    assert api.get(f"{path}shop/").json()["name"] == "shop"
    assert [row["name"] for row in results(api.get(path))] == ["default", "shop"]
    assert api.delete(f"{path}shop/").status_code == 204
    assert api.get(f"{path}shop/").status_code == 404


@pytest.mark.parametrize("name", ["", None, "Shop", "-x", "x" * 64, 3, "a/b"])
def test_bad_names_for_namespaces_are_refused(api: APIClient, name: object):
    answer = post(api, "/api/v1/namespaces/", {"name": name})

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "metadata.name"


def test_a_namespace_in_use_stays(api: APIClient):
    post(api, "/api/v1/namespaces/", {"name": "shop"})
    apply(api, manifest().replace("name: web", "name: web\n  namespace: shop"))

    answer = api.delete("/api/v1/namespaces/shop/")

    assert answer.status_code == 409
    assert "web" in answer.json()["detail"]

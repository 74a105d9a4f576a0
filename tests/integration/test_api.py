"""The REST API as a script sees it."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Event
from orchestrator.operations.accounts import Role
from tests.cluster import manifest
from tests.integration.conftest import client_of

WEB = "/api/v1/namespaces/default/deployments/web/"


def apply(api: APIClient, text: str, query: str = ""):
    return api.post(f"/api/v1/apply/{query}", data=text, content_type="application/yaml")


def post(api: APIClient, path: str, body: object = None, **headers: str):
    text = "" if body is None else json.dumps(body)
    return api.post(path, data=text, content_type="application/json", **headers)


def test_apply_creates_then_changes_nothing(api: APIClient):
    first = apply(api, manifest())
    second = apply(api, manifest())

    assert first.json()["results"][0]["action"] == "created"
    assert second.json()["results"][0]["action"] == "unchanged"


def test_a_dry_run_tells_the_difference_and_leaves_nothing(api: APIClient):
    apply(api, manifest(replicas=3))

    answer = apply(api, manifest(replicas=5), "?dry_run=true").json()["results"][0]

    assert answer["action"] == "configured"
    assert "-  replicas: 3" in answer["diff"]
    assert "+  replicas: 5" in answer["diff"]
    assert Deployment.objects.get().replicas == 3
    assert Event.objects.filter(reason="Changed").count() == 0


def test_nothing_is_applied_when_one_document_is_wrong(api: APIClient):
    text = manifest(name="good") + "---\n" + manifest(name="bad").replace("image:", "imagee:")

    answer = apply(api, text)

    assert answer.status_code == 422
    assert answer["Content-Type"] == "application/problem+json"
    fault = answer.json()["problems"][0]
    assert fault["document"] == 2
    assert fault["path"].endswith("containers[0].imagee")
    assert 'did you mean "image"' in fault["message"]
    assert fault["line"] > 20
    assert Deployment.objects.count() == 0


def test_an_unknown_namespace_is_named(api: APIClient):
    answer = apply(api, manifest().replace("name: web", "name: web\n  namespace: nowhere"))

    assert answer.status_code == 404
    assert '"nowhere" does not exist' in answer.json()["detail"]


def test_a_namespace_may_come_with_what_lives_in_it(api: APIClient):
    text = manifest().replace("name: web", "name: web\n  namespace: shop")
    text += "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"

    answer = apply(api, text)

    assert [item["action"] for item in answer.json()["results"]] == ["created", "created"]


def test_reading_back_shows_what_was_written_plus_defaults(api: APIClient):
    apply(api, manifest())

    text = api.get(f"{WEB}manifest/?format=yaml").content

    assert parse(text)[0].full == parse(manifest())[0].full
    assert apply(api, text.decode()).json()["results"][0]["generation"] == 1


def test_the_deployment_reads_as_promised(api: APIClient):
    apply(api, manifest())

    body = api.get(WEB).json()

    assert {"namespace", "name", "generation", "observed_generation", "spec"} <= set(body)
    assert set(body["status"]) == {
        "phase", "message", "replicas", "ready", "available", "updated", "revision",
    }  # fmt: skip


def test_create_twice_is_a_conflict(api: APIClient):
    body = parse(manifest())[0].written
    path = "/api/v1/namespaces/default/deployments/"

    assert post(api, path, body).status_code == 201
    assert post(api, path, body).status_code == 409


@pytest.mark.parametrize("header", ["If-Match", "query", "body"])
def test_a_stale_write_is_refused(api: APIClient, header: str):
    apply(api, manifest())
    post(api, f"{WEB}scale/", {"replicas": 4})

    if header == "If-Match":
        answer = post(api, f"{WEB}scale/", {"replicas": 5}, HTTP_IF_MATCH='"1"')
    elif header == "query":
        answer = post(api, f"{WEB}scale/?generation=1", {"replicas": 5})
    else:
        answer = post(api, f"{WEB}scale/", {"replicas": 5, "generation": 1})

    assert answer.status_code == 409
    assert "generation 2, not 1" in answer.json()["detail"]
    assert Deployment.objects.get().replicas == 4


def test_a_repeated_post_gets_the_same_answer(api: APIClient):
    apply(api, manifest())

    first = post(api, f"{WEB}restart/", {}, HTTP_IDEMPOTENCY_KEY="k1")
    second = post(api, f"{WEB}restart/", {}, HTTP_IDEMPOTENCY_KEY="k1")

    assert first.json() == second.json()
    assert second["Idempotent-Replayed"] == "true"
    assert Deployment.objects.get().generation == 2


def test_a_key_cannot_be_used_for_another_request(api: APIClient):
    apply(api, manifest())
    post(api, f"{WEB}scale/", {"replicas": 4}, HTTP_IDEMPOTENCY_KEY="k1")

    answer = post(api, f"{WEB}scale/", {"replicas": 5}, HTTP_IDEMPOTENCY_KEY="k1")

    assert answer.status_code == 422
    assert Deployment.objects.get().replicas == 4


@pytest.mark.parametrize("verb", ["pause", "resume", "restart"])
def test_verbs_answer_with_the_deployment(api: APIClient, verb: str):
    apply(api, manifest())

    assert post(api, f"{WEB}{verb}/").json()["name"] == "web"


def test_rolling_back_without_a_past_is_refused(api: APIClient):
    apply(api, manifest())

    answer = post(api, f"{WEB}rollback/", {})

    assert answer.status_code == 404
    assert "no earlier revision" in answer.json()["detail"]


def test_put_patch_and_delete(api: APIClient):
    body = parse(manifest())[0].written
    put = api.put(WEB, data=json.dumps(body), content_type="application/json")
    patch = api.patch(
        WEB,
        data=json.dumps({"spec": {"replicas": 7}}),
        content_type="application/merge-patch+json",
    )
    delete = api.delete(WEB)

    assert [put.status_code, patch.status_code, delete.status_code] == [200, 200, 202]
    assert patch.json()["spec"]["replicas"] == 7
    assert delete.json()["deleting"] is True


def test_lists_page_and_filter(api: APIClient):
    for name in ("a", "b", "c"):
        apply(api, manifest(name=name))

    page = api.get("/api/v1/deployments/?page_size=2&page=2").json()
    found = api.get("/api/v1/deployments/?search=b").json()

    assert (page["count"], [row["name"] for row in page["results"]]) == (3, ["c"])
    assert [row["name"] for row in found["results"]] == ["b"]


@pytest.mark.parametrize(
    "path",
    ["deployments/", "replicas/", "nodes/", "jobs/", "events/", "namespaces/",
     "namespaces/default/deployments/web/revisions/",
     "namespaces/default/deployments/web/replicas/",
     "namespaces/default/deployments/web/events/"],
)  # fmt: skip
def test_every_list_answers(api: APIClient, path: str):
    apply(api, manifest())

    answer = api.get(f"/api/v1/{path}")

    assert answer.status_code == 200
    assert "results" in answer.json()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/nonesuch/", 404),
        ("/api/v1/nodes/nonesuch/", 404),
        ("/api/v1/replicas/nonesuch/", 404),
        ("/api/v1/namespaces/default/deployments/nonesuch/", 404),
        ("/api/v1/namespaces/nonesuch/", 404),
        ("/api/v1/events/?since=x", 400),
        ("/api/v1/replicas/nonesuch/logs/", 404),
    ],
)
def test_what_is_not_there_is_a_problem(api: APIClient, path: str, status: int):
    answer = api.get(path)

    assert answer.status_code == status
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_without_a_token_nothing_is_shown(sent: list[object]):
    answer = APIClient().get("/api/v1/deployments/")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"


def test_a_wrong_token_is_refused(sent: list[object]):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer kj_wrong")

    assert client.get("/api/v1/deployments/").status_code == 401


@pytest.mark.parametrize(
    ("role", "read", "write", "cordon"),
    [
        (None, 403, 403, 403),
        (Role.VIEWER, 200, 403, 403),
        (Role.OPERATOR, 200, 200, 403),
        (Role.ADMIN, 200, 200, 404),
    ],
)
def test_roles(sent: list[object], role: Role | None, read: int, write: int, cordon: int):
    client = client_of(role)

    assert client.get("/api/v1/deployments/").status_code == read
    assert apply(client, manifest()).status_code == write
    assert post(client, "/api/v1/nodes/none/cordon/").status_code == cordon


def test_a_body_too_large_is_refused(api: APIClient):
    assert apply(api, "# " + "x" * (1024 * 1024)).status_code in {413, 422}


def test_health(sent: list[object], client):
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert ready["database"] == "ok"
    assert "does not answer" in ready["broker"]


def test_a_change_is_kept_while_the_broker_is_down(broker_down: None):
    client = client_of(Role.ADMIN)

    answer = apply(client, manifest())

    assert answer.status_code == 200
    assert Deployment.objects.get().settled is False


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(body=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_nonsense_never_breaks_the_server(api: APIClient, body: bytes):
    answer = api.generic("POST", "/api/v1/apply/", body, content_type="application/yaml")

    assert 400 <= answer.status_code < 500


def test_pages_of_a_deployment_cost_a_fixed_number_of_queries(
    api: APIClient, django_assert_max_num_queries
):
    for index in range(12):
        apply(api, manifest(name=f"d{index}"))

    with django_assert_max_num_queries(5):
        api.get("/api/v1/deployments/")

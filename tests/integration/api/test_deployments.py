"""One deployment over HTTP: create, read, change, delete, and its history."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Event, Namespace
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post, send

ALL = "/api/v1/namespaces/default/deployments/"


def written(**values) -> dict:
    return parse(manifest(**values))[0].written


def names(answer) -> list[str]:
    return [row["name"] for row in answer.json()["results"]]


def test_it_reads_as_promised(api: APIClient):
    apply(api, manifest())

    answer = api.get(WEB)

    body = answer.json()
    assert {"namespace", "name", "generation", "observed_generation", "spec"} <= set(body)
    assert set(body["status"]) == {
        "phase", "message", "replicas", "ready", "available", "updated", "revision",
    }  # fmt: skip
    assert body["spec"]["minReadySeconds"] == 0
    assert answer["ETag"] == '"1"'


def test_create_twice_is_a_conflict(api: APIClient):
    first, second = post(api, ALL, written()), post(api, ALL, written())

    assert (first.status_code, second.status_code) == (201, 409)
    assert "already exists" in second.json()["detail"]


@pytest.mark.parametrize("namespace", [None, "", "default"])
def test_the_address_says_the_namespace(api: APIClient, namespace: str | None):
    body = written()
    body["metadata"]["namespace"] = namespace

    assert post(api, ALL, body).json()["namespace"] == "default"


@pytest.mark.parametrize(
    ("method", "path", "change"),
    [
        ("POST", ALL, {"metadata": {"name": "web", "namespace": "elsewhere"}}),
        ("PUT", WEB, {"metadata": {"name": "other"}}),
        ("POST", ALL, {"kind": "Namespace", "apiVersion": "v1"}),
    ],
)
def test_a_manifest_of_something_else_is_refused(api: APIClient, method, path, change):
    answer = send(api, method, path, {**written(), **change})

    assert answer.status_code == 400
    assert not Deployment.objects.exists()


def test_put_creates_and_replaces(api: APIClient):
    body = written()
    first = send(api, "PUT", WEB, body).json()
    body["spec"]["replicas"] = 7

    second = send(api, "PUT", WEB, body).json()

    assert (first["generation"], second["generation"]) == (1, 2)
    assert second["spec"]["replicas"] == 7


def test_a_merge_patch_changes_and_removes(api: APIClient):
    apply(api, manifest())

    patch = {"spec": {"replicas": 7, "progressDeadlineSeconds": None}}
    answer = api.patch(WEB, json.dumps(patch), content_type="application/merge-patch+json")

    assert answer.json()["spec"]["replicas"] == 7
    assert "progressDeadlineSeconds" not in Deployment.objects.get().manifest["spec"]


def test_a_patch_that_breaks_the_manifest_is_refused(api: APIClient):
    apply(api, manifest())

    answer = send(api, "PATCH", WEB, {"spec": {"replicas": "many"}})

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["path"] == "spec.replicas"
    assert Deployment.objects.get().generation == 1


def test_deleting_is_accepted_and_then_goes_on(api: APIClient):
    apply(api, manifest())

    answer = api.delete(WEB)

    assert answer.status_code == 202
    assert answer.json()["deleting"] is True
    assert post(api, f"{WEB}scale/", {"replicas": 1}).status_code == 409


def test_the_manifest_reads_back_in_yaml_with_defaults(api: APIClient):
    apply(api, manifest())

    accepted = api.get(f"{WEB}manifest/", HTTP_ACCEPT="application/yaml")
    asked = api.get(f"{WEB}manifest/?format=yaml")

    assert accepted["Content-Type"].startswith("application/yaml")
    assert accepted.content == asked.content
    assert parse(accepted.content)[0].full == parse(manifest())[0].full
    assert apply(api, accepted.content.decode()).json()["results"][0]["generation"] == 1


def test_the_manifest_reads_back_exactly_as_written(api: APIClient):
    apply(api, manifest())

    assert api.get(f"{WEB}manifest/?written=true").json() == written()
    assert api.get(f"{WEB}manifest/").json() == parse(manifest())[0].full


def test_a_missing_manifest_is_a_problem_in_json_even_for_yaml(api: APIClient):
    answer = api.get(f"{WEB}manifest/", HTTP_ACCEPT="application/yaml")

    assert answer.status_code == 404
    assert json.loads(answer.content)["title"] == "Not found"


@pytest.mark.parametrize(("verb", "paused"), [("pause", True), ("resume", False)])
def test_pausing_and_resuming(api: APIClient, verb: str, paused: bool):
    apply(api, manifest())
    post(api, f"{WEB}{'resume' if paused else 'pause'}/")

    answer = post(api, f"{WEB}{verb}/", {"reason": "because"})

    assert answer.json()["paused"] is paused
    assert "(because)" in Event.objects.first().message


def test_a_restart_is_a_new_revision(api: APIClient):
    apply(api, manifest())

    assert post(api, f"{WEB}restart/").json()["status"]["revision"] == 2


def test_scaling_makes_no_revision(api: APIClient):
    apply(api, manifest())

    answer = post(api, f"{WEB}scale/", {"replicas": 0}).json()

    assert (answer["spec"]["replicas"], answer["status"]["revision"]) == (0, 1)


@pytest.mark.parametrize("replicas", [-1, 5001, "many", None, 1.5, [1]])
def test_absurd_scales_are_refused(api: APIClient, replicas):
    apply(api, manifest(replicas=3))

    answer = post(api, f"{WEB}scale/", {"replicas": replicas})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("replicas: ")
    assert Deployment.objects.get().replicas == 3


def test_rolling_back_without_a_past_is_refused(api: APIClient):
    apply(api, manifest())

    answer = post(api, f"{WEB}rollback/", {})

    assert answer.status_code == 404
    assert "no earlier revision" in answer.json()["detail"]


def test_rolling_back_returns_to_a_numbered_revision(api: APIClient):
    apply(api, manifest(version="1"))
    apply(api, manifest(version="2"))

    answer = post(api, f"{WEB}rollback/", {"revision": 1, "reason": "2 was bad"})

    assert answer.json()["spec"]["template"]["spec"]["containers"][0]["args"] == ["1"]
    newest = api.get(f"{WEB}revisions/").json()["results"][0]
    assert (newest["number"], newest["is_rollback"]) == (3, True)
    assert newest["reason"] == "2 was bad"


def test_revisions_tell_what_changed(api: APIClient):
    apply(api, manifest(image="app:1"))
    apply(api, manifest(image="app:2"))

    body = api.get(f"{WEB}revisions/").json()

    assert body["count"] == 2
    newest, oldest = body["results"]
    assert (newest["image"], newest["current"], newest["author"]) == ("app:2", True, "admin")
    assert "+  - name: main" not in newest["diff"]
    assert "app:2" in newest["diff"]
    assert (oldest["current"], oldest["diff"]) == (False, "")


def test_lists_page_and_filter(api: APIClient):
    for name in ("a", "b", "c"):
        apply(api, manifest(name=name))

    page = api.get("/api/v1/deployments/?page_size=2&page=2")

    assert (page.json()["count"], names(page)) == (3, ["c"])
    assert names(api.get("/api/v1/deployments/?search=b")) == ["b"]
    assert names(api.get(f"{ALL}?phase=Failed")) == []
    assert names(api.get("/api/v1/deployments/?namespace=elsewhere")) == []


def test_a_page_has_at_most_500_rows(api: APIClient):
    Namespace.objects.bulk_create(
        Namespace(name=f"n{index}", created_at=timezone.now()) for index in range(501)
    )

    body = api.get("/api/v1/namespaces/?page_size=100000").json()

    assert (body["count"], len(body["results"])) == (502, 500)
    assert "page=2" in body["next"]


@pytest.mark.parametrize(
    ("label", "found"),
    [
        ("tier=front", ["web"]),
        ("tier=back", []),
        ("example.com/a__b=1", ["web"]),
        ("tier=front,example.com/a__b=1", ["web"]),
        ("tier=front,example.com/a__b=2", []),
    ],
)
def test_lists_filter_by_label(api: APIClient, label: str, found: list[str]):
    labels = 'labels: {tier: front, example.com/a__b: "1"}'
    apply(api, manifest().replace("metadata:\n", f"metadata:\n  {labels}\n", 1))
    apply(api, manifest(name="bare"))

    assert names(api.get("/api/v1/deployments/", {"label": label})) == found


def test_a_list_in_an_unknown_namespace_is_refused(api: APIClient):
    assert api.get("/api/v1/namespaces/nowhere/deployments/").status_code == 404


def test_the_order_of_keys_is_the_same_whatever_the_database_does(api: APIClient):
    turned = {
        "spec": {"template": {"spec": {"containers": [{"image": "app:1", "name": "main"}]}}},
        "metadata": {"labels": {"b": "1", "a": "2"}, "name": "web"},
        "kind": "Deployment",
        "apiVersion": "apps/v1",
    }
    post(api, "/api/v1/apply/", turned)

    body = api.get(f"{WEB}manifest/?written=true").json()

    assert body == turned
    assert list(body) == ["apiVersion", "kind", "metadata", "spec"]
    assert list(body["metadata"]["labels"]) == ["a", "b"]
    assert list(body["spec"]["template"]["spec"]["containers"][0]) == ["name", "image"]

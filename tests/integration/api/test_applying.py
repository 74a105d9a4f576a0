"""Whole texts of manifests: applied or deleted, all or nothing."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Event, Namespace
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, send

SHOP = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"


def delete(api: APIClient, text: str, query: str = ""):
    return api.delete(f"/api/v1/apply/{query}", data=text, content_type="application/yaml")


def test_apply_creates_then_changes_nothing(api: APIClient):
    first = apply(api, manifest()).json()["results"][0]
    second = apply(api, manifest()).json()["results"][0]

    assert (first["action"], second["action"]) == ("created", "unchanged")
    assert (second["generation"], second["diff"]) == (1, "")


@pytest.mark.parametrize(
    "kind", ["application/yaml", "text/yaml", "application/x-yaml", "text/plain"]
)
def test_yaml_may_have_any_of_its_names(api: APIClient, kind: str):
    assert api.generic("POST", "/api/v1/apply/", manifest(), content_type=kind).status_code == 200


def test_json_is_as_good_as_yaml(api: APIClient):
    answer = send(api, "POST", "/api/v1/apply/", parse(manifest())[0].written)

    assert answer.json()["results"][0]["name"] == "web"


def test_a_dry_run_tells_the_difference_and_leaves_nothing(api: APIClient):
    apply(api, manifest(replicas=3))

    answer = apply(api, manifest(replicas=5), "?dry_run=true").json()["results"][0]

    assert answer["action"] == "configured"
    assert "-  replicas: 3" in answer["diff"]
    assert "+  replicas: 5" in answer["diff"]
    assert Deployment.objects.get().replicas == 3
    assert Event.objects.filter(reason="Changed").count() == 0


def test_defaults_written_out_are_no_difference(api: APIClient):
    apply(api, manifest(replicas=3))
    full = api.get(f"{WEB}manifest/?format=yaml")

    read_back = apply(api, full.content.decode()).json()["results"][0]
    as_before = apply(api, manifest(replicas=4)).json()["results"][0]

    assert (read_back["action"], read_back["diff"]) == ("unchanged", "")
    changed = [line for line in as_before["diff"].splitlines() if line[0] in "+-"]
    assert changed == ["--- before", "+++ after", "-  replicas: 3", "+  replicas: 4"]


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


def test_text_that_is_no_yaml_is_refused_with_its_line(api: APIClient):
    answer = apply(api, "kind: Deployment\nspec: [1, 2\n")

    assert answer.status_code == 422
    assert answer.json()["problems"][0]["line"] == 3


def test_an_unknown_namespace_is_named_and_nothing_is_kept(api: APIClient):
    text = manifest(name="fine") + "---" + manifest()
    text = text.replace("name: web", "name: web\n  namespace: nowhere")

    answer = apply(api, text)

    assert answer.status_code == 404
    assert '"nowhere" does not exist' in answer.json()["detail"]
    assert Deployment.objects.count() == 0


def test_a_namespace_may_come_with_what_lives_in_it(api: APIClient):
    answer = apply(api, manifest().replace("name: web", "name: web\n  namespace: shop") + SHOP)

    assert [item["action"] for item in answer.json()["results"]] == ["created", "created"]


def test_deleting_names_what_goes_and_what_was_never_there(api: APIClient):
    apply(api, manifest())

    results = delete(api, manifest() + "---" + manifest(name="other")).json()["results"]

    assert [(row["name"], row["action"]) for row in results] == [
        ("web", "deleted"),
        ("other", "absent"),
    ]
    assert api.get(WEB).json()["deleting"] is True


def test_deleting_can_be_tried_dry(api: APIClient):
    apply(api, manifest() + SHOP)

    results = delete(api, manifest() + SHOP, "?dry_run=true").json()["results"]

    assert [row["action"] for row in results] == ["deleted", "deleted"]
    assert Deployment.objects.get().deleting is False
    assert Namespace.objects.filter(name="shop", deleting=False).exists()


def test_an_empty_text_is_refused(api: APIClient):
    assert apply(api, "").status_code == 422
    assert apply(api, "---\n# nothing\n").status_code == 422

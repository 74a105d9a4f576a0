"""Autoscalers over HTTP, and who owns a deployment's number of replicas."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from orchestrator.models import Autoscaler, Deployment, Event
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post, send

ALL = "/api/v1/namespaces/default/autoscalers/"
ONE = f"{ALL}web/"
AUTOSCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {name}}}
spec:
  scaleTargetRef: {{kind: Deployment, name: {target}}}
  minReplicas: {minimum}
  maxReplicas: {maximum}
"""
SILENT = manifest(replicas=3).replace("  replicas: 3\n", "")


def autoscaler(**values: object) -> str:
    """Return the manifest of an autoscaler."""
    return AUTOSCALER.format(
        **{"name": "web", "target": "web", "minimum": 2, "maximum": 9} | values
    )


@pytest.fixture
def owned(api: APIClient) -> APIClient:
    """The API with a deployment that declares 3 replicas, and an autoscaler that owns them."""
    apply(api, manifest(replicas=3))
    apply(api, autoscaler())
    return api


def decide(replicas: int) -> None:
    """Let the autoscaler have come to a number."""
    Deployment.objects.filter(name="web").update(autoscaled=replicas, replicas=replicas)


def test_one_is_created_read_changed_and_deleted(owned: APIClient):
    made = owned.get(ONE)
    patched = send(owned, "PATCH", ONE, {"spec": {"maxReplicas": 12}})
    listed = owned.get("/api/v1/autoscalers/").json()["results"]
    gone = owned.delete(ONE)

    assert (made.json()["targets"], made["ETag"], made.json()["replicas"]) == (
        ["cpu 80 %"],
        '"1"',
        3,
    )
    assert (patched.json()["maximum"], patched.json()["generation"]) == (12, 2)
    assert [row["name"] for row in listed] == ["web"]
    assert (gone.status_code, owned.get(ONE).status_code) == (204, 404)


def test_put_makes_or_replaces_and_minds_the_generation(api: APIClient):
    body = autoscaler()
    first = api.generic("PUT", ONE, body, content_type="application/yaml")
    stale = api.generic("PUT", f"{ONE}?generation=7", body, content_type="application/yaml")

    assert first.status_code == 200
    assert (stale.status_code, "at generation 1, not 7" in stale.json()["detail"]) == (409, True)


def test_a_second_one_for_the_same_deployment_is_refused(owned: APIClient):
    answer = owned.post(ALL, autoscaler(name="other"), content_type="application/yaml")

    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        'deployment "web" is scaled by the autoscaler "web" already; change that one, '
        "or delete it first"
    )


@pytest.mark.parametrize(
    ("text", "status"),
    [
        pytest.param(autoscaler(minimum=9, maximum=2), 422, id="crossed-bounds"),
        pytest.param(autoscaler(name="web"), 409, id="taken-name"),
        pytest.param(manifest(), 400, id="another-kind"),
    ],
)
def test_what_cannot_be_created_is_refused(owned: APIClient, text: str, status: int):
    assert owned.post(ALL, text, content_type="application/yaml").status_code == status


def test_applying_a_manifest_without_replicas_never_fights_it(owned: APIClient):
    decide(7)

    saved = apply(owned, SILENT).json()["results"][0]

    assert (Deployment.objects.get().replicas, saved["note"]) == (7, "")


def test_applying_a_manifest_with_replicas_changes_nothing_and_says_so(owned: APIClient):
    decide(7)

    saved = apply(owned, manifest(replicas=4)).json()["results"][0]

    assert Deployment.objects.get().replicas == 7
    assert saved["note"] == (
        'spec.replicas is 4, but the autoscaler "web" owns the number (7 replicas now); '
        "leave spec.replicas out of the manifest"
    )


def test_every_answer_says_who_owns_the_number(owned: APIClient):
    decide(7)

    body = owned.get(WEB).json()

    assert (body["scaled_by"], body["spec"]["replicas"], body["declared_replicas"]) == ("web", 7, 3)


def test_scaling_by_hand_is_refused_with_the_way_out(owned: APIClient):
    answer = post(owned, f"{WEB}scale/", {"replicas": 5})

    assert answer.status_code == 409
    assert answer.json()["detail"] == (
        'the autoscaler "web" owns the number of replicas of default/web; change its bounds, '
        "delete it, or scale to 0 to switch it off"
    )


def test_zero_switches_it_off_and_a_number_on_again(owned: APIClient):
    decide(7)
    post(owned, f"{WEB}scale/", {"replicas": 0})
    off = Deployment.objects.get().replicas
    post(owned, f"{WEB}scale/", {"replicas": 4})

    row = Deployment.objects.get()
    assert (off, row.replicas, row.autoscaled) == (0, 4, 4)


def test_after_its_end_the_number_stays_and_is_declared(owned: APIClient):
    decide(7)

    owned.delete(ONE)

    row = Deployment.objects.get()
    assert (row.replicas, row.manifest["spec"]["replicas"], row.scaled_by) == (7, 7, "")


def test_it_may_come_before_its_deployment(api: APIClient):
    note = apply(api, autoscaler()).json()["results"][0]["note"]
    apply(api, SILENT)

    row = Deployment.objects.get()
    assert note == 'there is no deployment "web" yet'
    assert (row.scaled_by, row.autoscaled, row.replicas) == ("web", 1, 1)


def test_it_may_be_pointed_at_another_deployment(owned: APIClient):
    apply(owned, manifest(name="api", replicas=2))
    decide(7)
    apply(owned, autoscaler(target="api"))

    rows = {row.name: (row.scaled_by, row.replicas) for row in Deployment.objects.all()}
    assert rows == {"web": ("", 7), "api": ("web", 2)}


def test_both_are_applied_and_deleted_in_one_text(api: APIClient):
    text = f"{autoscaler()}---\n{manifest()}"

    made = apply(api, text).json()["results"]
    again = apply(api, text).json()["results"]
    gone = api.delete("/api/v1/apply/", data=text, content_type="application/yaml")

    assert [(row["kind"], row["action"]) for row in made] == [
        ("HorizontalPodAutoscaler", "created"),
        ("Deployment", "created"),
    ]
    assert {row["action"] for row in again} == {"unchanged"}
    assert [row["action"] for row in gone.json()["results"]] == ["deleted", "deleted"]
    assert not Autoscaler.objects.exists()


def test_a_namespace_with_autoscalers_stays(api: APIClient):
    post(api, "/api/v1/namespaces/", {"name": "shop"})
    apply(api, autoscaler().replace("name: web}\nspec", "name: web, namespace: shop}\nspec"))

    answer = api.delete("/api/v1/namespaces/shop/")

    assert answer.json()["detail"] == (
        'namespace "shop" still has autoscalers (web); delete them first'
    )


def test_its_manifest_is_read_back_as_yaml(owned: APIClient):
    answer = owned.get(f"{ONE}manifest/?written=true", headers={"Accept": "application/yaml"})

    assert answer.content.decode().startswith("apiVersion: autoscaling/v2\nkind: Horiz")
    assert owned.get(f"{ALL}none/manifest/").status_code == 404


def test_each_change_is_an_event_of_the_deployment(owned: APIClient):
    send(owned, "PATCH", ONE, {"spec": {"maxReplicas": 12}})

    event = Event.objects.get(kind="autoscaler", verb="patch")
    assert (event.deployment, event.before, event.after) == (
        "web",
        "2 to 9 replicas",
        "2 to 12 replicas",
    )
    assert event.message == "autoscaler default/web: spec.maxReplicas 9 → 12"

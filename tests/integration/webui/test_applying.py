"""Manifests of any kind are applied by clicking: written, looked at, made so; and deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, Event, Ingress, Namespace, Service
from orchestrator.operations import applying, namespaces
from tests.cluster import change, manifest
from tests.traffic import ingress, service

BrowserOf = Callable[[str], Client]
TWO = f"{service()}---{ingress()}"
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"


@pytest.fixture
def operator(browser_of: BrowserOf) -> Client:
    namespaces.ensure("default", change())
    applying.apply(parse(manifest(name="web")), change())
    return browser_of("operator")


def test_what_would_change_is_shown_and_nothing_is_done(operator: Client):
    answer = operator.post("/apply/", {"draft": TWO, "step": "review"})

    text = answer.content.decode()
    assert "2 objects would be made or changed." in text
    assert "Ingress site" in text
    assert not Service.objects.exists()


def test_what_was_reviewed_is_applied_and_recorded_with_its_reason(operator: Client):
    answer = operator.post("/apply/", {"draft": TWO, "step": "apply", "reason": "the new shop"})

    assert answer.status_code == 302
    assert [str(row) for row in Service.objects.all()] == ["default/web"]
    event = Event.objects.filter(verb="apply", kind="ingress").get()
    assert (event.actor, event.via) == ("the-operator", "session")


def test_a_single_object_leads_to_its_page(operator: Client):
    answer = operator.post("/apply/", {"draft": service(), "step": "apply"}, follow=True)

    assert answer.redirect_chain == [("/services/default/web/", 302)]
    assert "1 object is as written now" in answer.content.decode()


@pytest.mark.parametrize(
    ("draft", "said"),
    [
        pytest.param(
            service().replace("selector:", "selectors:"), "spec.selectors", id="a-mistyped-field"
        ),
        pytest.param(ingress(), "service", id="an-ingress-to-a-service-that-is-not-there"),
        pytest.param("", "no", id="nothing"),
    ],
)
def test_a_mistake_is_said_above_the_text_that_was_typed(operator: Client, draft: str, said: str):
    answer = operator.post("/apply/", {"draft": draft, "step": "apply"})

    text = answer.content.decode()
    assert answer.status_code == 422
    assert "Not yet right; nothing was changed" in text
    assert said in text
    assert not Ingress.objects.exists()
    assert not Service.objects.exists()


def test_the_draft_of_a_service_for_a_deployment_can_be_applied_as_it_is(operator: Client):
    draft = operator.get("/apply/?expose=web").context["text"]

    operator.post("/apply/", {"draft": draft, "step": "apply"})

    row = Service.objects.get()
    assert row.manifest["spec"]["selector"] == {"app": "web"}


def test_the_draft_of_an_ingress_for_a_service_can_be_applied_as_it_is(operator: Client):
    applying.apply(parse(service()), change())

    draft = operator.get("/apply/?lead=web").context["text"]
    operator.post("/apply/", {"draft": draft, "step": "apply"})

    assert Ingress.objects.get().manifest["spec"]["rules"][0]["host"] == "web.example.com"


@pytest.mark.parametrize("word", ["service", "ingress", "namespace", "secret"])
def test_each_pattern_to_begin_with_is_there(operator: Client, word: str):
    assert f"kind: {word.capitalize()}" in operator.get(f"/apply/?kind={word}").context["text"]


def test_what_is_to_be_changed_and_is_gone_is_said(operator: Client):
    answer = operator.get("/apply/?kind=service&name=gone")

    assert answer.status_code == 404


def test_a_service_is_changed_from_what_is_written(operator: Client):
    applying.apply(parse(service()), change())

    draft = operator.get("/apply/?kind=service&name=web").context["text"]
    answer = operator.post("/apply/", {"draft": draft, "step": "review"})

    assert "Everything is as written already." in answer.content.decode()


def test_a_viewer_is_told_who_may_apply(browser_of: BrowserOf):
    viewer = browser_of("viewer")

    assert viewer.get("/apply/").status_code == 403
    assert viewer.post("/apply/", {"draft": NAMESPACE, "step": "apply"}).status_code == 403
    assert "this needs the role operator" in viewer.get("/services/").content.decode()
    assert not Namespace.objects.filter(name="shop").exists()


def test_a_service_goes_when_its_name_is_typed_and_nothing_leads_to_it(operator: Client):
    applying.apply(parse(TWO), change())
    place = {"next": "/services/"}

    mistyped = operator.post("/services/default/web/delete/", place, follow=True)
    used = operator.post("/services/default/web/delete/", {**place, "typed": "web"}, follow=True)
    operator.post("/ingresses/default/site/delete/", {**place, "typed": "site"})
    operator.post("/services/default/web/delete/", {**place, "typed": "web"})

    assert "Type the name, web, to delete it" in mistyped.content.decode()
    assert "ingress site leads" in used.content.decode()
    assert not Ingress.objects.exists()
    assert not Service.objects.exists()
    assert Deployment.objects.exists()


def test_a_namespace_is_made_and_goes_when_nothing_lives_in_it(operator: Client):
    operator.post("/apply/", {"draft": NAMESPACE, "step": "apply"})
    listed = operator.get("/namespaces/").content.decode()

    kept = operator.post("/namespaces/default/delete/", {"next": "/namespaces/"}, follow=True)
    operator.post("/namespaces/shop/delete/", {"next": "/namespaces/"})

    assert "/namespaces/shop/delete/" in listed
    assert "/namespaces/default/delete/" not in listed
    assert "always exists" in kept.content.decode()
    assert not Namespace.objects.filter(name="shop").exists()

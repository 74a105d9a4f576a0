"""Everything people do is in the events: who, through what, what they did, from what to what."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.test import APIClient

from orchestrator.models import Event
from orchestrator.operations import reconcile, sweep
from orchestrator.operations.accounts import Role
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post, send
from tests.integration.api.test_autoscalers import ONE as AUTOSCALER
from tests.integration.api.test_autoscalers import autoscaler
from tests.integration.api.test_records import report, run_passes
from tests.integration.conftest import client_of
from tests.played_nodes import Nodes
from worker import protocol

TAINT = {"key": "gpu", "effect": "NoSchedule"}
FIELDS = ("verb", "kind", "name", "before", "after")


def acts(query: str = "") -> list[tuple[str, ...]]:
    """Return what people did, the first first."""
    reader = client_of(Role.VIEWER)
    rows = reader.get(f"/api/v1/events/?audit=true{query}").json()["results"]
    return [tuple(row[name] for name in FIELDS) for row in reversed(rows)]


@pytest.fixture
def web(api: APIClient) -> APIClient:
    """The API, with a deployment of one replica; what led here is forgotten."""
    report(full=True, facts=protocol.NodeFacts(runtimes=("in-memory",)))
    apply(api, manifest(replicas=1))
    run_passes()
    Event.objects.all().delete()
    return api


@pytest.mark.parametrize(
    ("method", "path", "body", "act"),
    [
        ("POST", "scale/", {"replicas": 3}, ("scale", "1 replica", "3 replicas")),
        ("POST", "pause/", {}, ("pause", "not paused", "paused")),
        ("POST", "restart/", {}, ("restart", "revision 1", "revision 2")),
        ("PATCH", "", {"spec": {"replicas": 2}}, ("patch", "1 replica", "2 replicas")),
        ("DELETE", "", None, ("delete", "", "")),
    ],
)
def test_each_act_on_a_deployment(web: APIClient, method, path, body, act):
    assert send(web, method, f"{WEB}{path}", body).status_code < 300

    verb, before, after = act
    assert acts() == [(verb, "deployment", "web", before, after)]


def test_acts_in_a_row(web: APIClient):
    post(web, f"{WEB}pause/")
    post(web, f"{WEB}resume/")
    apply(web, manifest(replicas=1, version="2"))
    post(web, f"{WEB}rollback/", {"revision": 1})
    web.generic("PUT", WEB, manifest(replicas=5), content_type="application/yaml")
    post(web, "/api/v1/namespaces/", {"name": "shop"})
    web.delete("/api/v1/namespaces/shop/")

    assert [act[0] for act in acts()] == [
        "pause",
        "resume",
        "apply",
        "rollback",
        "replace",
        "create",
        "delete",
    ]
    assert acts("&namespace=shop") == [
        ("create", "namespace", "shop", "", ""),
        ("delete", "namespace", "shop", "", ""),
    ]


def test_acts_on_nodes_and_replicas(web: APIClient):
    uid = web.get("/api/v1/replicas/").json()["results"][0]["uid"]
    post(web, "/api/v1/nodes/n1/cordon/")
    post(web, "/api/v1/nodes/n1/uncordon/")
    send(web, "PATCH", "/api/v1/nodes/n1/", {"labels": {"zone": "a"}, "taints": [TAINT]})
    send(web, "PATCH", "/api/v1/nodes/n1/", {"labels": {"zone": "a"}, "taints": [TAINT]})
    post(web, f"/api/v1/replicas/{uid}/retry/")
    web.delete(f"/api/v1/replicas/{uid}/")

    assert acts() == [
        ("cordon", "node", "n1", "", ""),
        ("uncordon", "node", "n1", "", ""),
        ("label", "node", "n1", "", "zone=a"),
        ("taint", "node", "n1", "", "gpu:NoSchedule"),
        ("retry", "replica", uid, "", ""),
        ("replace", "replica", uid, "", ""),
    ]


def test_acts_on_autoscalers(web: APIClient):
    apply(web, autoscaler())
    send(web, "PATCH", AUTOSCALER, {"spec": {"maxReplicas": 12}})
    web.delete(AUTOSCALER)

    assert acts() == [
        ("apply", "autoscaler", "web", "", "2 to 9 replicas"),
        ("patch", "autoscaler", "web", "2 to 9 replicas", "2 to 12 replicas"),
        ("delete", "autoscaler", "web", "", ""),
    ]


def test_rebalancing_and_cancelling_that_are_acts(api: APIClient):
    rebalance, nodes = "/api/v1/nodes/rebalance/", Nodes()
    nodes.join("n1")
    apply(api, manifest(replicas=2))
    nodes.settle()
    nodes.join("n2")

    post(api, rebalance, {})
    post(api, rebalance, {})
    api.delete(rebalance)

    number = api.get(rebalance).json()["id"]
    assert acts("&user=admin")[1:] == [
        ("rebalance", "rebalance", str(number), "", ""),
        ("cancel", "rebalance", str(number), "", ""),
    ]


def test_letting_a_machine_in_is_an_act(web: APIClient):
    made = post(web, "/api/v1/nodes/join-tokens/").json()

    assert acts() == [("create", "join token", str(made["id"]), "", "")]


def test_acts_on_accounts(web: APIClient):
    post(web, "/api/v1/users/", {"name": "eve", "role": "viewer"})
    send(web, "PATCH", "/api/v1/users/eve/", {"role": "operator"})
    send(web, "PATCH", "/api/v1/users/eve/", {"active": False})
    send(web, "PATCH", "/api/v1/users/eve/", {"active": False})
    post(web, "/api/v1/users/eve/password/")
    made = post(web, "/api/v1/tokens/", {"name": "script"}).json()
    web.delete(f"/api/v1/tokens/{made['id']}/")
    web.delete("/api/v1/users/eve/")

    assert acts() == [
        ("create", "user", "eve", "", "viewer"),
        ("change", "user", "eve", "viewer", "operator"),
        ("change", "user", "eve", "operator", "operator, not active"),
        ("password", "user", "eve", "", ""),
        ("create", "token", "script", "", ""),
        ("revoke", "token", "script", "", ""),
        ("delete", "user", "eve", "operator, not active", ""),
    ]


@pytest.mark.usefixtures("plain_static_files")
def test_logins_and_failures_are_acts(api: APIClient):
    eve = User.objects.create_user("eve", password="long enough 1")
    browser = Client()
    for password in ("wrong", "long enough 1"):
        browser.post("/login/", {"username": eve.username, "password": password})

    rows = api.get("/api/v1/events/?user=eve").json()["results"]

    assert [(row["verb"], row["result"], row["severity"]) for row in rows] == [
        ("login", "done", "normal"),
        ("login", "failed", "warning"),
    ]


@pytest.mark.usefixtures("plain_static_files")
def test_what_was_typed_as_a_name_is_not_repeated_when_nobody_has_it(api: APIClient):
    Client().post("/login/", {"username": "my-secret-password", "password": "x"})

    event = Event.objects.get(reason="LoginFailed")

    assert event.actor == "unknown"
    assert "my-secret" not in str(vars(event))


def test_an_act_says_what_somebody_came_through(web: APIClient):
    browser = Client()
    browser.force_login(User.objects.get(username="admin"))
    post(web, f"{WEB}scale/", {"replicas": 2})
    send(browser, "POST", f"{WEB}scale/", {"replicas": 3})

    rows = Event.objects.filter(verb="scale").order_by("pk")

    assert [(row.actor, row.via) for row in rows] == [("admin", "token test"), ("admin", "session")]


def test_what_changes_nothing_and_what_is_refused_is_no_act(web: APIClient):
    post(web, f"{WEB}scale/", {"replicas": 1})
    apply(web, manifest(replicas=1))
    apply(web, manifest(replicas=4), "?dry_run=true")
    post(web, f"{WEB}rollback/")
    post(client_of(Role.VIEWER), f"{WEB}scale/", {"replicas": 2})

    assert acts() == []


def test_what_the_system_does_is_no_act(web: APIClient):
    post(web, f"{WEB}scale/", {"replicas": 3})
    for pk in sweep.owed(now=_later()):
        reconcile.run(pk, now=_later())

    assert Event.objects.count() > 1
    assert [act[0] for act in acts()] == ["scale"]


def test_acts_filter_by_user(web: APIClient):
    post(client_of(Role.OPERATOR), f"{WEB}scale/", {"replicas": 3})
    post(web, f"{WEB}pause/")

    assert [act[0] for act in acts("&user=operator")] == ["scale"]
    assert [act[0] for act in acts("&user=admin")] == ["pause"]
    assert acts("&user=nobody") == []
    mine = web.get(f"{WEB}events/?audit=true&user=operator").json()["results"]
    assert [row["verb"] for row in mine] == ["scale"]


def _later():
    from datetime import timedelta

    from django.utils import timezone

    return timezone.now() + timedelta(minutes=5)

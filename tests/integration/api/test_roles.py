"""Who may do what, for every address there is."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.db.models import QuerySet
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.api import permissions, urls
from orchestrator.operations import tokens
from orchestrator.operations.accounts import Role
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post
from tests.integration.conftest import client_of

OPEN = {"schema", "docs", "node-join"}
WORDS = {"namespace": "nowhere", "name": "none", "uid": "none", "pk": "1"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Views that are no classes, and what they take.
PLAIN = {
    "replica-logs": {"GET"},
    "replica-exec": {"POST"},
    "replica-forward": {"POST"},
    "replica-forward-send": {"POST"},
}
ADDRESSES: dict[str, URLPattern] = {
    pattern.name: pattern for pattern in urls.urlpatterns if pattern.name not in {None, *OPEN}
}


def methods_of(pattern: URLPattern) -> list[str]:
    view = getattr(pattern.callback, "view_class", None)
    return [name for name in METHODS if view is None or hasattr(view, name.lower())]


def path_of(pattern: URLPattern) -> str:
    path = str(pattern.pattern)
    for word, value in WORDS.items():
        path = path.replace(f"<str:{word}>", value).replace(f"<int:{word}>", value)
    return f"/api/{path}"


CASES = [
    pytest.param(
        path_of(pattern), method, permissions.needed_role(name, method), id=f"{method} {name}"
    )
    for name, pattern in ADDRESSES.items()
    for method in methods_of(pattern)
    if method in PLAIN.get(name, METHODS)
]


def test_the_table_names_every_address_and_no_other():
    assert set(ADDRESSES) == set(permissions.TABLE)


def test_only_nodes_and_users_are_for_admins():
    rows = permissions.TABLE.items()
    users = {"users", "user", "user-password"}

    changed = {name for name, access in rows if access.change is Role.ADMIN}
    seen = {name for name, access in rows if access.look is Role.ADMIN}
    own = {name for name, access in rows if access.change is Role.VIEWER}

    on_nodes = {"node", "node-cordon", "node-uncordon", "node-drain", "node-forget", "join-tokens"}
    assert changed == {*on_nodes, *users}
    assert seen == {"join-tokens", *users}
    assert own == {"tokens", "token", "autoscaler-backtest"}


@pytest.mark.parametrize(("path", "method", "needed"), CASES)
def test_each_role_may_do_what_the_table_says(sent, path: str, method: str, needed: Role):
    clients = {None: client_of(None), **{role: client_of(role) for role in Role}}

    statuses = {
        role: client.generic(method, path, "", content_type="application/json").status_code
        for role, client in clients.items()
    }

    ranks = list(Role)
    allowed = {role for role in Role if ranks.index(role) >= ranks.index(needed)}
    assert {role for role, status in statuses.items() if status != 403} == allowed
    assert not {401, 500, 503} & set(statuses.values())


@pytest.mark.parametrize(("path", "method", "needed"), CASES)
def test_nobody_does_anything_unknown(sent, path: str, method: str, needed: Role):
    answer = APIClient().generic(method, path, "", content_type="application/json")

    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/api/v1/deployments/", "/api/v1/replicas/none/logs/"])
@pytest.mark.parametrize("header", ["Bearer kj_wrong", "Bearer ", "Bearer \xff"])
def test_a_wrong_token_is_refused(sent, path: str, header: str):
    answer = APIClient().get(path, HTTP_AUTHORIZATION=header)

    assert answer.status_code == 401
    assert "token" in answer.json()["detail"]


def test_a_wrong_token_is_not_forgiven_for_a_login(sent, client: Client):
    client.force_login(User.objects.create_superuser("root"))

    refused = client.get("/api/v1/replicas/none/logs/", HTTP_AUTHORIZATION="Bearer kj_wrong")

    assert refused.status_code == 401
    assert client.get("/api/v1/replicas/none/logs/").status_code == 404


def test_a_login_runs_commands_only_with_a_csrf_token(sent):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("root"))
    secret = "s" * 32
    browser.cookies["csrftoken"] = secret
    path, body = "/api/v1/replicas/none/exec/", {"command": ["ls"]}

    def ask(**headers: str):
        return browser.post(path, body, content_type="application/json", **headers)

    assert ask().status_code == 403
    assert "CSRF" in ask().json()["detail"]
    assert ask(HTTP_X_CSRFTOKEN=secret).status_code == 404


def test_a_token_runs_commands_without_a_csrf_token(sent):
    credentials = client_of(Role.OPERATOR)._credentials
    script = Client(enforce_csrf_checks=True)
    path, body = "/api/v1/replicas/none/exec/", {"command": ["ls"]}

    assert script.post(path, body, "application/json", **credentials).status_code == 404


def test_a_login_reads_and_needs_a_csrf_token_to_write(sent):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(User.objects.create_superuser("root"))

    assert browser.get("/api/v1/deployments/").status_code == 200
    refused = browser.post("/api/v1/apply/", manifest(), content_type="application/yaml")
    assert refused.status_code == 403
    assert "CSRF" in refused.json()["detail"]


def test_an_inactive_users_token_is_worthless(sent):
    client = client_of(Role.ADMIN)
    User.objects.update(is_active=False)

    assert client.get("/api/v1/deployments/").status_code == 401


def test_the_document_and_its_page_are_open(client: Client, settings):
    # Collecting static files is the launcher's work; the page's own is to name them.
    plain = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": plain}}
    page = client.get("/api/docs/")

    assert client.get("/api/schema/").status_code == 200
    assert page.status_code == 200
    assert b"<script>" not in page.content
    assert "script-src 'self'" in page["Content-Security-Policy"]


def test_events_say_who_it_was(sent):
    operator = client_of(Role.OPERATOR)
    apply(operator, manifest())
    post(operator, f"{WEB}scale/", {"replicas": 1})

    events = operator.get(f"{WEB}events/").json()["results"]

    assert {event["actor"] for event in events} == {"operator"}


@pytest.mark.django_db
def test_a_database_that_cannot_be_written_still_lets_a_token_read(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    user = User.objects.create_superuser("busy", password="long enough 1")
    token = tokens.make_endless(user, "script", now=timezone.now())

    def locked(*_: object, **__: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(QuerySet, "update", locked)
    answer = client.get("/api/v1/deployments/", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert answer.status_code == 200

"""What goes wrong outside a manifest: every answer is an RFC 9457 problem."""

from __future__ import annotations

import pytest
from django.db import InterfaceError, OperationalError
from rest_framework.test import APIClient

from orchestrator.models import Deployment
from orchestrator.operations.accounts import Role
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post
from tests.integration.conftest import client_of


def problem_of(answer) -> dict:
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert set(body) >= {"type", "title", "status", "detail", "instance"}
    return body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nonesuch/", 404),
        ("GET", "/api/", 404),
        ("GET", "/api/v1/nodes/nonesuch/", 404),
        ("GET", "/api/v1/replicas/nonesuch/", 404),
        ("DELETE", "/api/v1/replicas/nonesuch/", 404),
        ("POST", "/api/v1/replicas/nonesuch/retry/", 404),
        ("GET", WEB, 404),
        ("GET", f"{WEB}revisions/", 404),
        ("GET", f"{WEB}replicas/", 404),
        ("GET", "/api/v1/namespaces/nonesuch/", 404),
        ("DELETE", "/api/v1/namespaces/nonesuch/", 404),
        ("DELETE", "/api/v1/namespaces/default/", 409),
        ("GET", "/api/v1/events/999999/", 404),
        ("GET", "/api/v1/replicas/nonesuch/logs/", 404),
        ("POST", "/api/v1/replicas/nonesuch/logs/", 405),
        ("PUT", "/api/v1/nodes/", 405),
        ("GET", "/api/v1/apply/", 405),
    ],
)
def test_what_is_not_there_is_a_problem(api: APIClient, method: str, path: str, status: int):
    answer = api.generic(method, path, "", content_type="application/json")

    assert answer.status_code == status
    assert problem_of(answer)["instance"] == path


def test_a_forgotten_slash_is_hinted_at(api: APIClient):
    detail = problem_of(api.get("/api/v1/deployments"))["detail"]

    assert "did you mean /api/v1/deployments/" in detail
    assert "did you mean" not in problem_of(api.get("/api/v1/nonesuch"))["detail"]


def test_a_wrong_address_is_a_problem_for_posts_of_browsers_too(client):
    client.handler.enforce_csrf_checks = True

    assert client.post("/api/v1/nonesuch/").status_code == 404


def test_a_kind_of_body_we_cannot_read_is_named(api: APIClient):
    answer = api.generic("POST", "/api/v1/apply/", "<xml/>", content_type="application/xml")

    assert answer.status_code == 415
    assert "application/xml" in problem_of(answer)["detail"]


def test_an_answer_we_cannot_give_is_refused(api: APIClient):
    answer = api.get("/api/v1/deployments/", HTTP_ACCEPT="image/png")

    assert answer.status_code == 406
    problem_of(answer)


@pytest.mark.parametrize("headers", [{}, {"HTTP_IDEMPOTENCY_KEY": "k1"}])
def test_a_body_too_large_is_refused(api: APIClient, headers: dict[str, str]):
    answer = apply(api, "# " + "x" * (1024 * 1024), **headers)

    assert answer.status_code == 413
    assert "1 MiB" in problem_of(answer)["detail"]


def test_words_that_cannot_be_read_are_refused_with_their_line(api: APIClient):
    answer = api.generic(
        "POST", f"{WEB}scale/", '{"replicas":\n [3}\n}', content_type="application/json"
    )

    assert answer.status_code == 400
    assert problem_of(answer)["problems"][0]["line"] == 2


@pytest.mark.parametrize("body", [[1], "three", 3])
def test_words_that_are_no_object_are_refused(api: APIClient, body: object):
    assert problem_of(post(api, f"{WEB}scale/", body))["status"] == 400


def test_two_documents_are_one_too_many_for_one_deployment(api: APIClient):
    answer = api.generic("PUT", WEB, "{}\n---\n{}", content_type="application/yaml")

    assert "one document" in problem_of(answer)["detail"]


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
@pytest.mark.parametrize("path", ["/api/v1/deployments/", "/api/v1/replicas/none/logs/"])
def test_a_database_that_is_away_is_no_fault_of_the_caller(sent, monkeypatch, error, path):
    client = client_of(Role.ADMIN)

    def away(*_: object, **__: object) -> None:
        raise error("connection to 10.0.0.1 refused")

    monkeypatch.setattr("orchestrator.operations.tokens.user_of_token", away)

    answer = client.get(path)

    assert answer.status_code == 503
    assert answer["Retry-After"] == "2"
    assert "10.0.0.1" not in problem_of(answer)["detail"]


@pytest.mark.parametrize("path", ["/api/v1/deployments/", "/api/v1/replicas/none/logs/"])
def test_a_bug_shows_no_traceback(sent, monkeypatch, path: str):
    client = client_of(Role.ADMIN)
    client.raise_request_exception = False

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("orchestrator.operations.tokens.user_of_token", fail)

    answer = client.get(path)

    assert answer.status_code == 500
    assert "secret" not in answer.content.decode()
    problem_of(answer)


def test_a_change_is_kept_while_the_broker_is_down(broker_down: None):
    client = client_of(Role.ADMIN)

    assert apply(client, manifest()).status_code == 200
    assert client.get(WEB).status_code == 200
    assert Deployment.objects.get().settled is False

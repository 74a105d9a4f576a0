"""Changes that depend on what was read, and changes that may be sent twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, connections
from rest_framework.test import APIClient

from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, IdempotentAnswer
from orchestrator.operations import deployments
from orchestrator.operations.accounts import Role
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post, send
from tests.integration.conftest import client_of

ALL = "/api/v1/namespaces/default/deployments/"
CHANGES = {
    "scale": ("POST", f"{WEB}scale/", {"replicas": 5}),
    "pause": ("POST", f"{WEB}pause/", {}),
    "resume": ("POST", f"{WEB}resume/", {}),
    "restart": ("POST", f"{WEB}restart/", {}),
    "rollback": ("POST", f"{WEB}rollback/", {"revision": 1}),
    "put": ("PUT", WEB, parse(manifest(replicas=5))[0].written),
    "patch": ("PATCH", WEB, {"spec": {"replicas": 5}}),
    "delete": ("DELETE", WEB, None),
}


@pytest.fixture
def second_generation(api: APIClient) -> None:
    apply(api, manifest(replicas=4, version="1"))
    apply(api, manifest(replicas=4, version="2"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("second_generation")
def test_a_stale_write_is_refused(api: APIClient, change: str):
    method, path, body = CHANGES[change]

    answer = send(api, method, path, body, HTTP_IF_MATCH='"1"')

    assert answer.status_code == 409
    assert "generation 2, not 1" in answer.json()["detail"]
    row = Deployment.objects.get()
    assert (row.generation, row.replicas, row.deleting) == (2, 4, False)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.usefixtures("second_generation")
def test_a_fresh_write_is_taken(api: APIClient, change: str):
    method, path, body = CHANGES[change]

    assert send(api, method, path, body, HTTP_IF_MATCH=api.get(WEB)["ETag"]).status_code < 300


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [("?generation=1", {}, 409), ("", {"generation": 1}, 409), ("?generation=2", {}, 200),
     ("?generation=two", {}, 400), ("?generation=%C2%B2", {}, 400)],
)  # fmt: skip
@pytest.mark.usefixtures("second_generation")
def test_the_generation_may_stand_elsewhere(api: APIClient, query: str, body: dict, status: int):
    assert post(api, f"{WEB}scale/{query}", {"replicas": 5, **body}).status_code == status


def test_a_put_that_expects_a_deployment_does_not_create_one(api: APIClient):
    method, path, body = CHANGES["put"]

    assert send(api, method, path, body, HTTP_IF_MATCH='"3"').status_code == 404
    assert not Deployment.objects.exists()


@pytest.mark.parametrize("change", [name for name in CHANGES if name != "delete"])
@pytest.mark.usefixtures("second_generation")
def test_a_repeated_request_gets_the_same_answer(api: APIClient, change: str):
    method, path, body = CHANGES[change]
    first = send(api, method, path, body, HTTP_IDEMPOTENCY_KEY="k1")
    generation = Deployment.objects.get().generation
    post(api, f"{WEB}scale/", {"replicas": 9})

    second = send(api, method, path, body, HTTP_IDEMPOTENCY_KEY="k1")

    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert second["ETag"] == f'"{generation}"'
    assert Deployment.objects.get().generation == generation + 1


def test_a_created_deployment_is_answered_again_with_201(api: APIClient):
    body = parse(manifest())[0].written
    answers = [post(api, ALL, body, HTTP_IDEMPOTENCY_KEY="k1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert post(api, ALL, body).status_code == 409


def test_an_answer_without_a_body_is_repeated_too(api: APIClient):
    post(api, "/api/v1/namespaces/", {"name": "shop"})
    path = "/api/v1/namespaces/shop/"
    answers = [send(api, "DELETE", path, HTTP_IDEMPOTENCY_KEY="k1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert send(api, "DELETE", path).status_code == 404


@pytest.mark.usefixtures("second_generation")
def test_a_key_cannot_be_used_for_another_request(api: APIClient):
    post(api, f"{WEB}scale/", {"replicas": 4}, HTTP_IDEMPOTENCY_KEY="k1")

    answer = post(api, f"{WEB}scale/", {"replicas": 5}, HTTP_IDEMPOTENCY_KEY="k1")

    assert answer.status_code == 422
    assert "another request" in answer.json()["detail"]
    assert Deployment.objects.get().replicas == 4


def test_a_key_belongs_to_one_user(api: APIClient):
    other = client_of(Role.OPERATOR)
    apply(api, manifest(), HTTP_IDEMPOTENCY_KEY="k1")

    answer = apply(other, manifest(), HTTP_IDEMPOTENCY_KEY="k1")

    assert answer.json()["results"][0]["action"] == "unchanged"


def test_a_refused_request_may_be_sent_again_with_its_key(api: APIClient):
    first = post(api, f"{WEB}scale/", {"replicas": 2}, HTTP_IDEMPOTENCY_KEY="k1")
    apply(api, manifest())

    second = post(api, f"{WEB}scale/", {"replicas": 2}, HTTP_IDEMPOTENCY_KEY="k1")

    assert (first.status_code, second.status_code) == (404, 200)


@pytest.mark.usefixtures("second_generation")
def test_effect_and_answer_are_kept_together_or_not_at_all(api: APIClient, monkeypatch):
    def lose_power(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("orchestrator.operations.answers.keep", lose_power)

    answer = post(api, f"{WEB}scale/", {"replicas": 9}, HTTP_IDEMPOTENCY_KEY="k1")

    assert answer.status_code == 500
    assert Deployment.objects.get().replicas == 4
    assert not IdempotentAnswer.objects.exists()


def test_a_key_too_long_is_refused_not_cut(api: APIClient):
    answer = apply(api, manifest(), HTTP_IDEMPOTENCY_KEY="k" * 256)

    assert answer.status_code == 400
    assert not Deployment.objects.exists()


@pytest.mark.usefixtures("transactional_db")
def test_two_at_once_have_one_effect_and_one_answer(api: APIClient, monkeypatch):
    if connection.vendor == "sqlite":
        pytest.skip("two connections cannot write to SQLite in memory; PostgreSQL runs this")
    both_begun = threading.Event()
    create = deployments.create

    def slow_create(*arguments, **options):
        made = create(*arguments, **options)
        both_begun.wait(1)
        return made

    def ask() -> tuple[int, dict]:
        try:
            body = parse(manifest())[0].written
            answer = post(api, ALL, body, HTTP_IDEMPOTENCY_KEY="k1")
            return answer.status_code, answer.json()
        finally:
            connections.close_all()

    monkeypatch.setattr(deployments, "create", slow_create)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(ask), pool.submit(ask)

    assert first.result() == second.result()
    assert first.result()[0] == 201
    assert Deployment.objects.count() == 1

"""Users and API tokens over HTTP: who may do what with them, and what is shown only once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from rest_framework.test import APIClient

from orchestrator.models import ApiToken, Event, IdempotentAnswer
from orchestrator.operations import tokens
from orchestrator.operations.accounts import Role
from tests.cluster import manifest
from tests.integration.api.requests import WEB, apply, post, send
from tests.integration.conftest import client_of

USERS, TOKENS = "/api/v1/users/", "/api/v1/tokens/"


def with_token(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


def make_token(client: APIClient, **words: object) -> dict:
    answer = post(client, TOKENS, {"name": "script", **words})
    assert answer.status_code == 201, answer.content
    return answer.json()


@pytest.fixture
def eve(api: APIClient) -> dict:
    """A new operator, made over the API."""
    return post(api, USERS, {"name": "eve", "role": "operator"}).json()


def test_a_new_user_gets_a_password_that_is_shown_once(api: APIClient, eve: dict):
    shown = api.get(f"{USERS}eve/").json()

    assert Client().login(username="eve", password=eve["password"])
    assert {**shown, "password": eve["password"]} == eve
    assert (shown["role"], shown["active"], shown["tokens"]) == ("operator", True, 0)
    assert "eve" in {row["name"] for row in api.get(USERS).json()["results"]}


def test_a_given_password_is_taken_and_not_repeated(api: APIClient):
    words = {"name": "eve", "role": "viewer", "password": "correct horse 9"}

    answer = post(api, USERS, words)

    assert (answer.status_code, answer.json()["password"]) == (201, None)
    assert Client().login(username="eve", password="correct horse 9")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ({"password": "short"}, 422, "too short"),
        ({"password": "password123"}, 422, "too common"),
        ({"name": "evelyn1x", "password": "evelyn1x"}, 422, "too similar"),
        ({"name": "two words"}, 422, "is no name"),
        ({"name": ".."}, 422, "is no name"),
        ({"name": "kijabi"}, 422, "is no name"),
        ({"name": "unknown"}, 422, "is no name"),
        ({"name": "admin"}, 409, "exists already"),
        ({"name": "x" * 151}, 400, "name:"),
        ({"name": ""}, 400, "name:"),
        ({"role": "king"}, 400, "role:"),
        ({"role": None}, 400, "role:"),
        ({"rôle": "viewer"}, 400, "unknown field"),
    ],
)
def test_mistakes_are_told_in_one_sentence(api: APIClient, words: dict, status: int, sentence: str):
    answer = post(api, USERS, {"name": "eve", "role": "viewer", **words})

    assert answer.status_code == status
    assert sentence in answer.json()["detail"]
    assert answer["Content-Type"] == "application/problem+json"
    assert User.objects.count() == 1


@pytest.mark.usefixtures("eve")
def test_a_changed_role_counts_at_once(api: APIClient):
    theirs = with_token(tokens.make_endless(User.objects.get(username="eve"), "t", now=_now()))
    assert post(theirs, f"{WEB}pause/").status_code == 404

    answer = send(api, "PATCH", f"{USERS}eve/", {"role": "viewer"})

    assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
    refused = post(theirs, f"{WEB}pause/")
    assert refused.status_code == 403
    assert refused.json()["detail"] == "this needs the role operator, and you are viewer"


def test_somebody_made_inactive_is_out_at_once(api: APIClient, eve: dict):
    browser = Client()
    browser.login(username="eve", password=eve["password"])
    theirs = with_token(tokens.make_endless(User.objects.get(username="eve"), "t", now=_now()))
    assert browser.get(TOKENS).status_code == 200

    send(api, "PATCH", f"{USERS}eve/", {"active": False})

    assert browser.get(TOKENS).status_code == 401
    assert theirs.get(TOKENS).status_code == 401
    assert not Client().login(username="eve", password=eve["password"])
    send(api, "PATCH", f"{USERS}eve/", {"active": True})
    assert theirs.get(TOKENS).status_code == 200


def test_a_new_password_ends_the_login_sessions(api: APIClient, eve: dict):
    browser = Client()
    browser.login(username="eve", password=eve["password"])

    answer = post(api, f"{USERS}eve/password/")

    assert browser.get(TOKENS).status_code == 401
    assert not Client().login(username="eve", password=eve["password"])
    assert Client().login(username="eve", password=answer.json()["password"])


@pytest.mark.usefixtures("eve")
def test_a_removed_user_takes_their_tokens_along_and_stays_in_the_history(api: APIClient):
    theirs = with_token(tokens.make_endless(User.objects.get(username="eve"), "t", now=_now()))
    apply(theirs, manifest())

    assert api.delete(f"{USERS}eve/").status_code == 204

    assert theirs.get(TOKENS).status_code == 401
    assert not ApiToken.objects.filter(name="t").exists()
    assert api.get(f"{WEB}revisions/").json()["results"][0]["author"] == "eve"
    assert api.get("/api/v1/events/?user=eve").json()["count"] == 1
    assert api.delete(f"{USERS}eve/").status_code == 404


@pytest.mark.parametrize(
    ("method", "body"),
    [("DELETE", None), ("PATCH", {"active": False}), ("PATCH", {"role": "operator"})],
)
def test_the_last_active_administrator_stays(api: APIClient, method: str, body: object):
    post(api, USERS, {"name": "other", "role": "admin", "active": False})

    answer = send(api, method, f"{USERS}admin/", body)

    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("admin is the last active administrator")
    assert api.get(f"{USERS}admin/").json()["role"] == "admin"


def test_nobody_removes_themselves(api: APIClient):
    post(api, USERS, {"name": "other", "role": "admin"})

    answer = api.delete(f"{USERS}admin/")

    assert (answer.status_code, "cannot remove yourself" in answer.json()["detail"]) == (409, True)
    assert send(api, "PATCH", f"{USERS}admin/", {"role": "viewer"}).status_code == 200


@pytest.mark.parametrize("name", ["none", "%00", "x" * 200])
def test_users_that_are_not_there_are_not_found(api: APIClient, name: str):
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "password/")]:
        assert send(api, method, f"{USERS}{name}/{path}").status_code in {400, 404}


def test_a_token_is_shown_once_and_stops_when_revoked(api: APIClient):
    viewer = client_of(Role.VIEWER)

    made = make_token(viewer)

    text = made.pop("token")
    row = next(row for row in viewer.get(TOKENS).json()["results"] if row["id"] == made["id"])
    assert row == made
    assert text.startswith(row["prefix"])
    assert with_token(text).get(TOKENS).status_code == 200
    assert viewer.delete(f"{TOKENS}{made['id']}/").status_code == 204
    assert with_token(text).get(TOKENS).status_code == 401
    assert viewer.delete(f"{TOKENS}{made['id']}/").status_code == 404


@pytest.mark.parametrize(("words", "days"), [({}, 90), ({"days": 1}, 1), ({"days": 366}, 366)])
@pytest.mark.usefixtures("sent")
def test_a_token_ends_by_itself(words: dict, days: int):
    made = make_token(client_of(Role.VIEWER), **words)
    row = ApiToken.objects.get(pk=made["id"])

    assert row.expires_at - row.created_at == timedelta(days=days)
    assert tokens.user_of_token(made["token"], now=row.expires_at - timedelta(seconds=1))
    assert tokens.user_of_token(made["token"], now=row.expires_at) is None


@pytest.mark.parametrize(
    "words",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": "a\tb"},
        {"name": None},
        {"days": 0},
        {"days": 367},
        {"days": "many"},
        {"role": "king"},
        {"expires": 1},
    ],
)
@pytest.mark.usefixtures("sent")
def test_strange_tokens_are_refused(words: dict):
    answer = post(client_of(Role.VIEWER), TOKENS, {"name": "script", **words})

    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("limit", [*Role, None])
@pytest.mark.usefixtures("sent")
def test_a_token_allows_no_more_than_its_role_and_its_users(role: Role, limit: Role | None):
    ranks = list(Role)
    owner = client_of(role)
    if limit is not None and ranks.index(limit) > ranks.index(role):
        answer = post(owner, TOKENS, {"name": "script", "role": limit})
        assert answer.status_code == 403
        assert f"you are {role}" in answer.json()["detail"]
        return

    limited = with_token(make_token(owner, role=limit)["token"])

    allowed = limit or role
    assert post(limited, f"{WEB}pause/").status_code == (403 if allowed == "viewer" else 404)
    assert limited.get(USERS).status_code == (200 if allowed == "admin" else 403)


@pytest.mark.usefixtures("sent")
def test_a_token_outlives_no_demotion():
    limited = with_token(make_token(client_of(Role.OPERATOR), role="operator")["token"])
    user = User.objects.get(username="operator")

    user.groups.clear()

    assert limited.get("/api/v1/deployments/").status_code == 403


def test_a_limited_token_makes_and_revokes_none(api: APIClient):
    made = make_token(api, role="viewer")
    limited = with_token(made["token"])

    for answer in (
        post(limited, TOKENS, {"name": "more"}),
        limited.delete(f"{TOKENS}{made['id']}/"),
    ):
        assert answer.status_code == 403
        assert "limited to the role viewer" in answer.json()["detail"]
    assert limited.get(f"{TOKENS}?user=").status_code == 403


def test_everybody_sees_their_own_tokens_and_administrators_all(api: APIClient):
    viewer = client_of(Role.VIEWER)

    def owners(client: APIClient, query: str = "") -> set[str]:
        return {row["user"] for row in client.get(f"{TOKENS}{query}").json()["results"]}

    assert owners(viewer) == owners(viewer, "?user=viewer") == {"viewer"}
    assert owners(api) == {"admin"}
    assert owners(api, "?user=viewer") == {"viewer"}
    assert owners(api, "?user=") == {"admin", "viewer"}
    assert viewer.get(f"{TOKENS}?user=admin").status_code == 403
    assert viewer.get(f"{TOKENS}?user=").status_code == 403
    assert api.get(f"{TOKENS}?user=none").status_code == 404


def test_only_administrators_revoke_the_tokens_of_others(api: APIClient):
    made = make_token(client_of(Role.OPERATOR))

    refused = client_of(Role.VIEWER).delete(f"{TOKENS}{made['id']}/")

    assert (refused.status_code, "no API token" in refused.json()["detail"]) == (404, True)
    assert api.delete(f"{TOKENS}{made['id']}/").status_code == 204
    assert api.delete(f"{TOKENS}99999999999999999999/").status_code == 404


def test_secrets_are_not_kept_for_repeated_requests(api: APIClient, eve: dict):
    key = {"HTTP_IDEMPOTENCY_KEY": "k1"}

    for path, body in (
        (TOKENS, {"name": "x"}),
        (USERS, {"name": "x", "role": "viewer"}),
        (f"{USERS}eve/password/", {}),
    ):
        answer = post(api, path, body, **key)
        assert answer.status_code == 400
        assert "shown once" in answer.json()["detail"]
    assert not IdempotentAnswer.objects.exists()


def test_no_secret_is_in_the_events(api: APIClient, eve: dict):
    made = make_token(api)
    renewed = post(api, f"{USERS}eve/password/").json()["password"]

    told = " ".join(str(vars(event)) for event in Event.objects.all())

    assert not [text for text in (made["token"], renewed, eve["password"]) if text in told]


def _now():
    return timezone.now()

"""Logins, passwords, tokens and users by clicking."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from orchestrator.models import ApiToken, Event, LoginTry
from orchestrator.operations import logins
from tests.integration.webui.test_acts import said

PASSWORD = "long enough 1"


@pytest.fixture
def eve(db: None) -> User:
    return User.objects.create_user("eve", password=PASSWORD)


def log_in(password: str, address: str = "10.0.0.1", name: str = "eve"):
    return Client().post("/login/", {"username": name, "password": password}, REMOTE_ADDR=address)


def test_too_many_wrong_passwords_have_to_wait(eve: User):
    for _ in range(logins.MOST_FOR_PAIR):
        assert log_in("wrong").status_code == 200

    refused = log_in(PASSWORD)

    assert refused.status_code == 429
    assert "Too many wrong passwords" in refused.content.decode()
    assert Event.objects.filter(reason=logins.FAILED).count() == logins.MOST_FOR_PAIR
    assert log_in(PASSWORD, address="10.0.0.2").status_code == 302


def test_waiting_helps(eve: User):
    for _ in range(logins.MOST_FOR_PAIR):
        log_in("wrong")
    LoginTry.objects.update(at=timezone.now() - logins.WINDOW - timedelta(seconds=1))

    assert log_in(PASSWORD).status_code == 302


def test_one_address_cannot_try_every_name(db: None):
    for number in range(logins.MOST_FOR_ADDRESS):
        log_in("wrong", name=f"name{number}")

    assert log_in("wrong", name="another").status_code == 429


def test_a_login_forgives_earlier_failures(eve: User):
    for _ in range(logins.MOST_FOR_PAIR - 1):
        log_in("wrong")
    assert log_in(PASSWORD).status_code == 302
    assert log_in("wrong").status_code == 200
    assert log_in(PASSWORD).status_code == 302


def test_a_token_is_shown_once_and_works_until_it_is_revoked(browser_of):
    viewer = browser_of("viewer")

    viewer.post("/account/tokens/", {"name": "script", "days": "7"})
    page = viewer.get("/account/")
    token = page.context["made"]

    assert token in page.content.decode()
    assert token not in viewer.get("/account/").content.decode()
    header = {"HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert Client().get("/api/v1/deployments/", **header).status_code == 200
    viewer.post(f"/account/tokens/{ApiToken.objects.get().pk}/revoke/")
    assert Client().get("/api/v1/deployments/", **header).status_code == 401


@pytest.mark.parametrize(
    "fields", [{"name": ""}, {"name": "x", "days": "0"}, {"name": "x", "days": "many"}]
)
def test_a_token_needs_a_name_and_an_end(browser_of, fields: dict[str, str]):
    answer = browser_of("viewer").post("/account/tokens/", {"days": "7", **fields})

    assert said(answer)
    assert not ApiToken.objects.exists()


def test_nobody_revokes_the_token_of_another(browser_of):
    browser_of("operator").post("/account/tokens/", {"name": "theirs", "days": "7"})

    answer = browser_of("viewer").post(f"/account/tokens/{ApiToken.objects.get().pk}/revoke/")

    assert "no API token" in said(answer)
    assert ApiToken.objects.exists()


def test_a_new_password_needs_the_old_one(browser_of):
    viewer = browser_of("viewer")
    wanted = {"new_password1": "another one 2", "new_password2": "another one 2"}

    assert viewer.post("/account/password/", {"old_password": "no", **wanted}).status_code == 422
    assert (
        viewer.post("/account/password/", {"old_password": PASSWORD, **wanted}).status_code == 302
    )
    assert viewer.get("/account/").status_code == 200
    assert User.objects.get(username="the-viewer").check_password("another one 2")


def test_an_administrator_makes_and_changes_users(browser_of):
    admin = browser_of("admin")

    admin.post("/users/new/", {"name": "newcomer", "role": "operator"})
    page = admin.get("/users/")
    name, password = page.context["made"]

    assert name == "newcomer"
    assert Client().login(username=name, password=password)
    admin.post("/users/save/", {"name": "newcomer", "role": "viewer", "active": "0"})
    assert not User.objects.get(username="newcomer").is_active
    acts = Event.objects.filter(actor="the-admin").order_by("pk").values_list("verb", "after")
    assert list(acts) == [("create", "operator"), ("change", "viewer, not active")]


def test_a_new_user_never_takes_the_place_of_another(browser_of):
    browser_of("operator")

    answer = browser_of("admin").post("/users/new/", {"name": "the-operator", "role": "viewer"})

    assert "exists already" in said(answer)
    assert User.objects.get(username="the-operator").groups.get().name == "operator"


def test_a_new_password_for_oneself_is_shown_and_ends_other_sessions(browser_of):
    admin, elsewhere = browser_of("admin"), Client()
    elsewhere.force_login(User.objects.get(username="the-admin"))

    admin.post("/users/save/", {"name": "the-admin", "role": "admin", "password": "1"})
    name, password = admin.get("/users/").context["made"]

    assert Client().login(username=name, password=password)
    assert elsewhere.get("/users/").status_code == 302


def test_a_token_may_do_less_than_its_user(browser_of):
    operator = browser_of("operator")

    page = operator.get("/account/").content.decode()
    operator.post("/account/tokens/", {"name": "script", "days": "7", "role": "viewer"})

    assert "<option>operator</option>" in page
    assert "<option>admin</option>" not in page
    assert ApiToken.objects.get().role == "viewer"


def test_the_last_administrator_stays_one(browser_of):
    answer = browser_of("admin").post("/users/save/", {"name": "the-admin", "role": "viewer"})

    assert "last active administrator" in said(answer)
    assert User.objects.get().is_superuser


@pytest.mark.parametrize("name", ["", "two words", "<script>", "x" * 151])
def test_a_name_that_is_none_is_refused(browser_of, name: str):
    answer = browser_of("admin").post("/users/new/", {"name": name, "role": "viewer"})

    assert "is no name" in said(answer)
    assert User.objects.count() == 1


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_others_may_not_even_see_the_users(browser_of, role: str):
    somebody = browser_of(role)

    assert somebody.get("/users/").status_code == 403
    assert somebody.post("/users/save/", {"name": "x", "role": "admin"}).status_code == 403


def test_an_ended_account_ends_its_sessions(browser_of):
    viewer = browser_of("viewer")
    User.objects.update(is_active=False)

    assert viewer.get("/").status_code == 302

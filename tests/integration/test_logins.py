"""Too many wrong passwords have to wait, whichever process counts and whichever page asks."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client, RequestFactory
from django.utils import timezone

from orchestrator.models import Event, LoginTry
from orchestrator.operations import logins, sweep

PASSWORD = "long enough 1"
pytestmark = pytest.mark.usefixtures("plain_static_files")


def request_from(address: str):
    return RequestFactory().get("/", REMOTE_ADDR=address)


def log_in(password: str, address: str = "10.0.0.1", name: str = "eve"):
    return authenticate(request_from(address), username=name, password=password)


@pytest.fixture
def eve(db: None) -> User:
    return User.objects.create_superuser("eve", password=PASSWORD)


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_an_address_counts_as_its_network(address: str, counted: str):
    assert logins.address_of(request_from(address)) == counted


@pytest.mark.usefixtures("eve")
def test_djangos_own_admin_counts_as_well():
    client = Client()
    for _ in range(logins.MOST_FOR_PAIR):
        client.post("/admin/login/", {"username": "eve", "password": "wrong"})

    answer = client.post("/admin/login/", {"username": "eve", "password": PASSWORD})

    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
    assert client.post("/login/", {"username": "eve", "password": PASSWORD}).status_code == 429


@pytest.mark.usefixtures("eve")
def test_who_has_to_wait_writes_no_more_rows():
    for _ in range(logins.MOST_FOR_PAIR + 5):
        assert log_in("wrong") is None

    assert LoginTry.objects.count() == logins.MOST_FOR_PAIR
    assert Event.objects.filter(reason=logins.FAILED).count() == logins.MOST_FOR_PAIR
    assert log_in(PASSWORD) is None
    assert log_in(PASSWORD, address="10.0.0.2") is not None


@pytest.mark.usefixtures("eve")
def test_tries_that_begin_at_once_are_counted_before_they_end():
    now = timezone.now()
    begun = [logins._begin("eve", "10.0.0.1", now) for _ in range(logins.MOST_FOR_PAIR + 3)]

    assert begun.count(None) == 3
    assert None not in begun[: logins.MOST_FOR_PAIR]


@pytest.mark.usefixtures("eve")
def test_the_wait_ends_with_the_oldest_try():
    now = timezone.now()
    for seconds in range(logins.MOST_FOR_PAIR):
        logins._begin("eve", "10.0.0.1", now + timedelta(seconds=seconds))
    end = now + timedelta(seconds=logins.MOST_FOR_PAIR)

    assert logins.wait_until("eve", "10.0.0.1", now=end) == now + logins.WINDOW
    assert logins.wait_until("eve", "10.0.0.1", now=now + logins.WINDOW) is None
    assert logins.wait_until("bob", "10.0.0.1", now=end) is None


@pytest.mark.usefixtures("eve")
def test_a_login_forgets_the_tries_of_its_pair_only():
    log_in("wrong")
    log_in("wrong", name="bob")

    assert log_in(PASSWORD) is not None

    assert LoginTry.objects.count() == 1


@pytest.mark.usefixtures("eve")
def test_old_tries_and_sessions_are_swept():
    log_in("wrong")
    Client().force_login(User.objects.get())

    sweep.prune(now=timezone.now())
    assert (LoginTry.objects.count(), Session.objects.count()) == (1, 1)
    sweep.prune(now=timezone.now() + timedelta(days=1))
    assert (LoginTry.objects.count(), Session.objects.count()) == (0, 0)


@pytest.mark.usefixtures("eve")
def test_an_inactive_user_cannot_log_in():
    User.objects.update(is_active=False)

    assert log_in(PASSWORD) is None


@pytest.mark.usefixtures("eve")
def test_a_login_gets_a_session_of_its_own():
    client = Client()
    client.get("/login/")
    session = client.session
    session["planted"] = "by somebody else"
    session.save()
    client.cookies["sessionid"] = planted = session.session_key

    client.post("/login/", {"username": "eve", "password": PASSWORD})

    assert client.session.session_key != planted
    assert not Session.objects.filter(pk=planted).exists()


@pytest.mark.usefixtures("eve")
def test_djangos_admin_shows_users_and_changes_none():
    client = Client()
    client.force_login(User.objects.get())

    assert client.get("/admin/auth/user/").status_code == 200
    user = User.objects.get()
    page = client.get(f"/admin/auth/user/{user.pk}/change/")
    assert (page.status_code, user.password in page.content.decode()) == (200, False)
    assert client.get("/admin/auth/user/add/").status_code == 403
    assert client.get("/admin/auth/group/").status_code == 404

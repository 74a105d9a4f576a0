"""Two at once: nobody slips through between looking and writing. Needs PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import RequestFactory

from orchestrator.models import Event
from orchestrator.operations import logins, users
from orchestrator.operations.accounts import Role
from tests.cluster import change


@pytest.fixture(autouse=True)
def _two_connections(transactional_db: None) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("two connections cannot write to SQLite in memory; PostgreSQL runs this")


def at_once(*calls: Callable[[], object]) -> list[object]:
    """Run the calls in threads that begin together; return what each returned or raised."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], object]) -> object:
        try:
            barrier.wait()
            return call()
        except users.LastAdministrator as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_two_administrators_cannot_demote_each_other(monkeypatch: pytest.MonkeyPatch):
    for name in ("ann", "bob"):
        users.create(name, Role.ADMIN, change())
    both_changed, look = threading.Barrier(2), users._check_somebody_is_left

    def look_late(name: str) -> None:
        with suppress(threading.BrokenBarrierError):
            both_changed.wait(0.5)
        look(name)

    monkeypatch.setattr(users, "_check_somebody_is_left", look_late)

    results = at_once(
        lambda: users.alter("ann", change("bob"), role=Role.VIEWER),
        lambda: users.alter("bob", change("ann"), active=False),
    )

    assert sorted(type(result).__name__ for result in results) == ["LastAdministrator", "bool"]
    assert User.objects.filter(is_superuser=True, is_active=True).count() == 1


def test_many_wrong_passwords_at_once_are_all_counted():
    User.objects.create_user("eve", password="long enough 1")

    def fail() -> object:
        request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1")
        return authenticate(request, username="eve", password="wrong")

    at_once(*[fail] * (logins.MOST_FOR_PAIR + 6))

    assert Event.objects.filter(reason=logins.FAILED).count() <= logins.MOST_FOR_PAIR

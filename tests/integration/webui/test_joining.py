"""The page of nodes: a command for another machine, which turns into "joined" by itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from orchestrator.models import JoinToken

BrowserOf = Callable[[str], Client]


def page(browser: Client) -> str:
    return browser.get("/nodes/").content.decode()


@pytest.fixture
def admin(sent, browser_of: BrowserOf) -> Client:
    """An administrator who has just asked for a command."""
    browser = browser_of("admin")
    browser.post("/nodes/add/")
    return browser


def test_the_command_is_shown_until_a_machine_has_joined_with_it(admin: Client):
    waiting = [page(admin), page(admin)]
    JoinToken.objects.update(used_at=timezone.now(), node="n2")
    joined = page(admin)

    command = "python3 manage.py node join http://testserver --token kjoin_"
    assert all(command in text for text in waiting)
    assert "<b>n2</b> has joined" in joined
    assert "kjoin_" not in joined


def test_a_command_that_is_too_old_is_gone(admin: Client):
    JoinToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    assert "kjoin_" not in page(admin)


def test_nobody_else_sees_the_command(admin: Client, browser_of: BrowserOf):
    assert "kjoin_" not in page(browser_of("operator"))


def test_on_the_loopback_address_it_says_what_another_machine_needs(sent, browser_of: BrowserOf):
    browser = browser_of("admin")
    browser.post("/nodes/add/", headers={"host": "127.0.0.1:8000"})

    assert "up --host 0.0.0.0" in page(browser)


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_may_not_add_a_node_is_told_why(sent, browser_of: BrowserOf, role: str):
    browser = browser_of(role)

    assert browser.post("/nodes/add/").status_code == 403
    assert "this needs the role admin" in page(browser)
    assert not JoinToken.objects.exists()

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from orchestrator.operations.accounts import Role


@pytest.fixture(autouse=True)
def _plain_static_files(plain_static_files: None) -> None:
    """Every page here is asked for without them."""


@pytest.fixture
def browser_of(db: None) -> Callable[[str], Client]:
    """Return a logged-in client of somebody with a role ("" is none)."""

    def make(role: str) -> Client:
        user = User.objects.create_user(f"the-{role or 'stranger'}", password="long enough 1")
        if role == Role.ADMIN:
            user.is_superuser = True
            user.save()
        if role:
            user.groups.add(Group.objects.get_or_create(name=role)[0])
        client = Client()
        client.force_login(user)
        return client

    return make

"""Whether a browser's session still belongs to somebody who is logged in."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest


def user_of(session_key: str) -> AbstractBaseUser | AnonymousUser:
    """Return whose session it is now, nobody when it has ended."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    return get_user(request)


def is_logged_in(session_key: str) -> bool:
    """Tell whether the session is that of an active user."""
    user = user_of(session_key)
    return bool(user.is_authenticated and user.is_active)

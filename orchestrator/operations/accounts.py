"""Logins, roles and API tokens."""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.contrib.auth.models import Group, User
from django.db import OperationalError, transaction
from django.db.models import Q, prefetch_related_objects

from orchestrator.models import ApiToken, Event
from orchestrator.operations.events import Change

logger = logging.getLogger(__name__)

PREFIX_LENGTH = 8
_NAME = re.compile(r"[\w.@+-]{1,150}")
USED_RESOLUTION = timedelta(minutes=1)


class Role(StrEnum):
    """What a user may do: look; change deployments; everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstLogin:
    """The first account; `password` and `token` are only known when they were made just now."""

    user: str
    password: str | None
    token: str | None


def ensure_first_login(*, now: datetime, needs_token: bool) -> FirstLogin:
    """Make the roles, and user `admin` when there is no user yet; a token when one is needed."""
    with transaction.atomic():
        for role in Role:
            Group.objects.get_or_create(name=role)
        admin, password = User.objects.filter(is_superuser=True).order_by("pk").first(), None
        if admin is None:
            password = secrets.token_urlsafe(12)
            admin = User.objects.create_superuser("admin", password=password)
        token = create_token(admin, name="admin-token file", now=now) if needs_token else None
    return FirstLogin(user=admin.get_username(), password=password, token=token)


def create_token(
    user: User, *, name: str, now: datetime, expires_at: datetime | None = None
) -> str:
    """Make an API token and return it; only its digest is kept."""
    token = f"kj_{secrets.token_urlsafe(32)}"
    ApiToken.objects.create(
        user=user,
        name=name,
        prefix=token[:PREFIX_LENGTH],
        digest=_digest(token),
        created_at=now,
        expires_at=expires_at,
    )
    return token


def user_of_token(token: str, *, now: datetime) -> User | None:
    """Return the active user a token belongs to, or None; notes that it was used."""
    alive = Q(expires_at=None) | Q(expires_at__gt=now)
    row = (
        ApiToken.objects.filter(alive, digest=_digest(token), user__is_active=True)
        .select_related("user")
        .first()
    )
    if row is None:
        return None
    if row.used_at is None or now - row.used_at > USED_RESOLUTION:
        _note_use(row, now)
    return row.user


class AccountMistake(LookupError):
    """Something about an account that cannot be done; says what and why."""


def revoke_token(user: User, pk: int, change: Change) -> str:
    """End one of a user's own tokens at once; return its name.

    Raises:
        AccountMistake: the user has no such token.
    """
    with transaction.atomic():
        row = ApiToken.objects.filter(user=user, pk=pk).first()
        if row is None:
            raise AccountMistake(f"{user} has no API token {pk}")
        row.delete()
        record(change, "TokenRevoked", f"{user} revoked the API token {row.name}")
        return row.name


def save_user(
    name: str, role: Role, change: Change, *, active: bool = True, new_password: bool = False
) -> str | None:
    """Make or change a user; return the generated password if there is a new one.

    Raises:
        AccountMistake: the name is no name, or nobody would be left to administer.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(username=name).first()
        if user is None:
            if not _NAME.fullmatch(name):
                raise AccountMistake(
                    f'"{name[:40]}" is no name for a user: use letters, digits and @ . + - _'
                )
            user, new_password = User(username=name), True
        password = secrets.token_urlsafe(12) if new_password else None
        if password is not None:
            user.set_password(password)
        user.is_active = active
        user.is_superuser = user.is_staff = role is Role.ADMIN
        user.save()
        user.groups.set([Group.objects.get_or_create(name=role)[0]])
        if not User.objects.filter(is_superuser=True, is_active=True).exists():
            raise AccountMistake(f"{name} is the last active administrator; make another one first")
        state = "" if active else ", not active"
        again = " with a new password" if new_password else ""
        record(change, "UserSaved", f"user {name} is {role}{state}{again}")
    return password


def record(change: Change, reason: str, message: str) -> None:
    """Append an act on accounts to the timeline."""
    Event.objects.create(at=change.now, reason=reason, message=message, actor=change.actor)


def role_of(user: User) -> Role | None:
    """Return the highest role a user has; None means none at all."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    # A page asks many times for one user; prefetched groups cost one query together.
    if "groups" not in getattr(user, "_prefetched_objects_cache", {}):
        prefetch_related_objects([user], "groups")
    names = {group.name for group in user.groups.all()}
    held = [role for role in Role if role in names]
    return held[-1] if held else None


def _note_use(token: ApiToken, now: datetime) -> None:
    """Note when a token was used; a database that cannot be written must not fail a read."""
    try:
        with transaction.atomic():
            ApiToken.objects.filter(pk=token.pk).update(used_at=now)
    except OperationalError as error:
        logger.warning("The use of token %s could not be noted: %s", token.prefix, error)


def _digest(token: str) -> str:
    """Return the digest; a token has 256 random bits, so a plain hash is as good as a slow one."""
    return hashlib.sha256(token.encode()).hexdigest()

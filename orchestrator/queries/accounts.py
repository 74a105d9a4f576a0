"""Read models of users and of API tokens (never the tokens themselves)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from orchestrator.models import ApiToken
from orchestrator.queries.rows import Rows

ROLES = ("viewer", "operator", "admin")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """One user as an administrator sees them."""

    name: str
    role: str
    active: bool
    last_login: datetime | None
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRecord:
    """One API token; `prefix` is how its owner knows it again, `role` the most it allows."""

    id: int
    user: str
    name: str
    prefix: str
    role: str
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None


def users() -> list[UserRecord]:
    """Return every user, by name (3 queries)."""
    rows = User.objects.prefetch_related("groups", "apitoken_set").order_by("username")
    return [_user(row) for row in rows]


def get(name: str) -> UserRecord | None:
    """Return one user, or None."""
    # PostgreSQL cannot even compare with a NUL.
    row = User.objects.filter(username=name).first() if "\x00" not in name else None
    return _user(row) if row is not None else None


def tokens(user: User) -> list[TokenRecord]:
    """Return a user's API tokens, newest first."""
    return tokens_of(user.get_username())[0:]


def tokens_of(name: str | None) -> Rows[TokenRecord]:
    """Return the API tokens of a user, newest first; None for everybody's."""
    rows = ApiToken.objects.select_related("user").order_by("-pk")
    return Rows(rows if name is None else rows.filter(user__username=name), _token)


def token(pk: int) -> TokenRecord | None:
    """Return one API token, or None."""
    row = ApiToken.objects.select_related("user").filter(pk=pk).first()
    return _token(row) if row is not None else None


def _user(row: User) -> UserRecord:
    return UserRecord(
        name=row.get_username(),
        role=_role(row),
        active=row.is_active,
        last_login=row.last_login,
        tokens=len(row.apitoken_set.all()),
    )


def _token(row: ApiToken) -> TokenRecord:
    return TokenRecord(
        id=row.pk,
        user=row.user.get_username(),
        name=row.name,
        prefix=row.prefix,
        role=row.role,
        created_at=row.created_at,
        used_at=row.used_at,
        expires_at=row.expires_at,
    )


def _role(row: User) -> str:
    if row.is_superuser:
        return ROLES[-1]
    names = {group.name for group in row.groups.all()}
    return next((role for role in reversed(ROLES) if role in names), "")

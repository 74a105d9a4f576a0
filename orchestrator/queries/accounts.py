"""Read models of users and of API tokens (never the tokens themselves)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.models import User

from orchestrator.models import ApiToken

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
    """One API token; `prefix` is how its owner knows it again."""

    id: int
    name: str
    prefix: str
    created_at: datetime
    used_at: datetime | None
    expires_at: datetime | None


def users() -> list[UserRecord]:
    """Return every user, by name (3 queries)."""
    rows = User.objects.prefetch_related("groups", "apitoken_set").order_by("username")
    return [
        UserRecord(
            name=row.get_username(),
            role=_role(row),
            active=row.is_active,
            last_login=row.last_login,
            tokens=len(row.apitoken_set.all()),
        )
        for row in rows
    ]


def tokens(user: User) -> list[TokenRecord]:
    """Return a user's API tokens, newest first."""
    return [
        TokenRecord(
            id=row.pk,
            name=row.name,
            prefix=row.prefix,
            created_at=row.created_at,
            used_at=row.used_at,
            expires_at=row.expires_at,
        )
        for row in ApiToken.objects.filter(user=user).order_by("-pk")
    ]


def _role(row: User) -> str:
    if row.is_superuser:
        return ROLES[-1]
    names = {group.name for group in row.groups.all()}
    return next((role for role in reversed(ROLES) if role in names), "")

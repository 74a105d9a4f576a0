"""Roles, and what is known of whoever acts: their role now, and what they came through."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet, prefetch_related_objects

SESSION = "session"
_IN = "is_in_"
_PASS = "kijabi_token"  # noqa: S105, the name of an attribute


class Role(StrEnum):
    """What a user may do: look; change deployments; everything."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


RANK = {role: rank for rank, role in enumerate(Role)}


class AccountMistake(LookupError):
    """Something about an account that cannot be done; says what and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPass:
    """The API token that somebody came through; `role` is the most it allows, None for no limit."""

    name: str
    role: Role | None


def role_of(user: User) -> Role | None:
    """Return the highest role a user has, lowered to that of the token they came through."""
    held = own_role(user)
    token = token_of(user)
    if held is None or token is None or token.role is None:
        return held
    return min(held, token.role, key=RANK.__getitem__)


def roles_up_to(highest: Role | None) -> list[Role]:
    """Return a role and those below it."""
    return [role for role in Role if highest is not None and RANK[role] <= RANK[highest]]


def own_role(user: User) -> Role | None:
    """Return the role of the user, whatever they came through; None means none at all."""
    if not user.is_authenticated or not user.is_active:
        return None
    if user.is_superuser:
        return Role.ADMIN
    held = [role for role in Role if role in _groups_of(user)]
    return held[-1] if held else None


def with_groups(users: QuerySet[User]) -> QuerySet[User]:
    """Return the users with which of our groups they are in, without a query more."""
    inside = User.groups.through.objects.filter(user=OuterRef("pk"))
    held = {_IN + role: Exists(inside.filter(group__name=role)) for role in Role}
    return users.annotate(**held)


def _groups_of(user: User) -> set[str]:
    if hasattr(user, _IN + Role.ADMIN):
        return {role for role in Role if getattr(user, _IN + role)}
    # A page asks many times for one user; prefetched groups cost one query together.
    if "groups" not in getattr(user, "_prefetched_objects_cache", {}):
        prefetch_related_objects([user], "groups")
    return {group.name for group in user.groups.all()}


def came_through(user: User, token: TokenPass) -> User:
    """Return the user, who from now on has no more rights than the token."""
    setattr(user, _PASS, token)
    return user


def token_of(user: object) -> TokenPass | None:
    """Return the token a user came through; None for a login session."""
    found: TokenPass | None = getattr(user, _PASS, None)
    return found


def via_of(user: object) -> str:
    """Return what a user came through, in the words of the audit."""
    token = token_of(user)
    return SESSION if token is None else f"token {token.name}"

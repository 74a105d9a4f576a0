"""API tokens: made, used, revoked. Only their digests are kept."""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.db import OperationalError, transaction
from django.db.models import Q

from orchestrator.models import ApiToken
from orchestrator.operations import accounts, events
from orchestrator.operations.accounts import RANK, AccountMistake, Role, TokenPass
from orchestrator.operations.events import Act, Change

logger = logging.getLogger(__name__)

PREFIX_LENGTH = 8
LONGEST_NAME = 64
USUAL_DAYS, LONGEST_DAYS = 90, 366
USED_RESOLUTION = timedelta(minutes=1)


class TokenNotFound(AccountMistake):
    """No such token, or it is somebody else's."""

    def __init__(self, pk: int) -> None:
        super().__init__(f"you have no API token {pk}")


class TokenRefused(AccountMistake):
    """Whoever asks may not make or revoke this token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeToken:
    """A token made just now: the only moment at which its text is known."""

    id: int
    text: str


def make(
    user: User, name: str, change: Change, *, role: Role | None = None, days: int = USUAL_DAYS
) -> MadeToken:
    """Make an API token for a user; with a role it allows no more than that role.

    Raises:
        AccountMistake: the name or the number of days is out of bounds.
        TokenRefused: the role is above the user's own, or the user came through a limited token.
    """
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise AccountMistake(
            f"a token needs a name of 1 to {LONGEST_NAME} printable characters that says what "
            "it is for"
        )
    if not 1 <= days <= LONGEST_DAYS:
        raise AccountMistake(f"a token lives 1 to {LONGEST_DAYS} days, not {days}")
    _check_unlimited(user)
    held = accounts.own_role(user)
    if role is not None and (held is None or RANK[role] > RANK[held]):
        raise TokenRefused(f"a token of yours cannot have the role {role}: you are {held}")
    with transaction.atomic():
        made = _make(user, name, change.now, role=role, lives=timedelta(days=days))
        limit = f" as {role}" if role else ""
        events.record(
            change,
            "TokenMade",
            f"{user} made the API token {name}{limit} for {days} days",
            Act(verb="create", kind="token", name=name),
        )
    return made


def make_endless(user: User, name: str, *, now: datetime) -> str:
    """Return the text of a new token that never expires, for this machine's own use."""
    return _make(user, name, now).text


def revoke(user: User, pk: int, change: Change) -> str:
    """End a token at once; return its name. Administrators may end anybody's.

    Raises:
        TokenNotFound: there is no such token, or it is somebody else's.
        TokenRefused: the user came through a limited token.
    """
    with transaction.atomic():
        rows = ApiToken.objects.select_related("user").filter(pk=pk)
        if accounts.role_of(user) is not Role.ADMIN:
            rows = rows.filter(user=user)
        row = rows.first()
        if row is None:
            raise TokenNotFound(pk)
        _check_unlimited(user)
        row.delete()
        events.record(
            change,
            "TokenRevoked",
            f"{user} revoked the API token {row.name} of {row.user}",
            Act(verb="revoke", kind="token", name=row.name),
        )
        return row.name


def user_of_token(text: str, *, now: datetime) -> User | None:
    """Return the active user a token belongs to, limited to its role, or None; notes the use."""
    alive = Q(expires_at=None) | Q(expires_at__gt=now)
    row = (
        ApiToken.objects.filter(alive, digest=_digest(text), user__is_active=True)
        .select_related("user")
        .first()
    )
    if row is None:
        return None
    if row.used_at is None or now - row.used_at > USED_RESOLUTION:
        _note_use(row, now)
    limit = Role(row.role) if row.role else None
    return accounts.came_through(row.user, TokenPass(name=row.name, role=limit))


def _make(
    user: User,
    name: str,
    now: datetime,
    *,
    role: Role | None = None,
    lives: timedelta | None = None,
) -> MadeToken:
    text = f"kj_{secrets.token_urlsafe(32)}"
    row = ApiToken.objects.create(
        user=user,
        name=name,
        role=role or "",
        prefix=text[:PREFIX_LENGTH],
        digest=_digest(text),
        created_at=now,
        expires_at=now + lives if lives else None,
    )
    return MadeToken(id=row.pk, text=text)


def _check_unlimited(user: User) -> None:
    """Refuse somebody with a limited token: a token that makes another would outgrow its limit."""
    token = accounts.token_of(user)
    if token is not None and token.role is not None:
        raise TokenRefused(
            f"the token {token.name} is limited to the role {token.role}, and such a token "
            "cannot make or revoke tokens; log in, or use one without a limit"
        )


def _note_use(token: ApiToken, now: datetime) -> None:
    """Note when a token was used; a database that cannot be written must not fail a read."""
    try:
        with transaction.atomic():
            ApiToken.objects.filter(pk=token.pk).update(used_at=now)
    except OperationalError as error:
        logger.warning("The use of token %s could not be noted: %s", token.prefix, error)


def _digest(text: str) -> str:
    """Return the digest; a token has 256 random bits, so a plain hash is as good as a slow one."""
    return hashlib.sha256(text.encode()).hexdigest()

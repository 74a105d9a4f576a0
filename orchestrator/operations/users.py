"""Users: made, changed, removed; there is always an active administrator."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from orchestrator.operations import accounts, events, tokens
from orchestrator.operations.accounts import AccountMistake, Role
from orchestrator.operations.events import SYSTEM, Act, Change
from orchestrator.operations.logins import UNKNOWN

_NAME = re.compile(r"[\w@+-][\w.@+-]{0,149}")
# Events are by these, and a person of that name could pass for one of them.
TAKEN = (SYSTEM, UNKNOWN)


class UserNotFound(AccountMistake):
    """No user of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'user "{name[:150]}" does not exist')


class UserExists(AccountMistake):
    """The name is taken."""


class LastAdministrator(AccountMistake):
    """Nobody would be left to administer, or somebody would remove themselves."""


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
            password = _generated()
            admin = User.objects.create_superuser("admin", password=password)
        text = tokens.make_endless(admin, "admin-token file", now=now) if needs_token else None
    return FirstLogin(user=admin.get_username(), password=password, token=text)


def create(
    name: str, role: Role, change: Change, *, active: bool = True, password: str | None = None
) -> str | None:
    """Make a user; return the generated password, or None when one was given.

    Raises:
        AccountMistake: the name is no name, or the password too weak.
        UserExists: the name is taken.
    """
    name = User.normalize_username(name)
    if not _NAME.fullmatch(name) or name in TAKEN:
        raise AccountMistake(
            f'"{name[:40]}" is no name for a user: use letters, digits and @ . + - _'
            f" (not a dot first), and not {' or '.join(TAKEN)}"
        )
    user = User(username=name, is_active=active)
    generated = None
    if password is None:
        password = generated = _generated()
    else:
        _check_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        _lock_administrators()
        if User.objects.filter(username=name).exists():
            raise UserExists(f'user "{name}" exists already')
        _give(user, role)
        act = Act(verb="create", kind="user", name=name, after=_facts(user, role))
        events.record(change, "UserCreated", f"user {name} is created: {act.after}", act)
    return generated


def alter(
    name: str, change: Change, *, role: Role | None = None, active: bool | None = None
) -> bool:
    """Change the role of a user, or whether they are active; return whether anything changed.

    Raises:
        UserNotFound: there is no such user.
        LastAdministrator: nobody would be left to administer.
    """
    with transaction.atomic():
        user = _lock(name)
        held = _role(user)
        before, wanted = _facts(user, held), role or held
        user.is_active = user.is_active if active is None else active
        after = _facts(user, wanted)
        if before == after:
            return False
        if wanted is not None:
            _give(user, wanted)
        else:
            user.save()
        _check_somebody_is_left(name)
        act = Act(verb="change", kind="user", name=name, before=before, after=after)
        events.record(change, "UserChanged", f"user {name}: {before} → {after}", act)
        return True


def remove(name: str, change: Change) -> None:
    """Remove a user with all their tokens and sessions; what they did stays in the events.

    Raises:
        UserNotFound: there is no such user.
        LastAdministrator: nobody would be left to administer, or it is whoever asks.
    """
    with transaction.atomic():
        user = _lock(name)
        was = _facts(user, _role(user))
        user.delete()
        _check_somebody_is_left(name)
        if name == change.actor:
            raise LastAdministrator("you cannot remove yourself; ask another administrator")
        act = Act(verb="delete", kind="user", name=name, before=was)
        events.record(change, "UserRemoved", f"user {name} is removed", act)


def generate_password(name: str, change: Change) -> str:
    """Give a user a new generated password and return it; their login sessions end.

    Raises:
        UserNotFound: there is no such user.
    """
    password = _generated()
    # Hashing is slow on purpose; nobody should have to wait for it with the lock taken.
    digest = make_password(password)
    with transaction.atomic():
        user = _lock(name)
        user.password = digest
        user.save(update_fields=["password"])
        act = Act(verb="password", kind="user", name=name)
        events.record(change, "PasswordChanged", f"user {name} has a new generated password", act)
    return password


def change_own_password(user: User, password: str, change: Change) -> None:
    """Set the password somebody chose for themselves; their other login sessions end.

    Raises:
        AccountMistake: it is too weak.
    """
    _check_password(password, user)
    user.set_password(password)
    with transaction.atomic():
        user.save(update_fields=["password"])
        act = Act(verb="password", kind="user", name=user.get_username())
        events.record(change, "PasswordChanged", f"{user} changed their password", act)


def _lock(name: str) -> User:
    _lock_administrators()
    # PostgreSQL cannot even compare with a NUL.
    user = User.objects.filter(username=name).first() if "\x00" not in name else None
    if user is None:
        raise UserNotFound(name)
    return user


def _lock_administrators() -> None:
    """Let one change of users happen at a time: two at once could remove the last two admins."""
    Group.objects.get_or_create(name=Role.ADMIN)
    list(Group.objects.select_for_update(no_key=True).filter(name=Role.ADMIN))


def _give(user: User, role: Role) -> None:
    user.is_superuser = user.is_staff = role is Role.ADMIN
    user.save()
    user.groups.set([Group.objects.get_or_create(name=role)[0]])


def _role(user: User) -> Role | None:
    """Return the role a user has, or would have if active."""
    shadow = User(pk=user.pk, is_superuser=user.is_superuser, is_active=True)
    return accounts.own_role(shadow)


def _check_somebody_is_left(name: str) -> None:
    admins = Q(is_superuser=True) | Q(groups__name=Role.ADMIN)
    if not User.objects.filter(admins, is_active=True).exists():
        raise LastAdministrator(
            f"{name} is the last active administrator; make somebody else one first"
        )


def _check_password(password: str, user: User) -> None:
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise AccountMistake(" ".join(error.messages)) from None


def _facts(user: User, role: Role | None) -> str:
    return f"{role or 'no role'}{'' if user.is_active else ', not active'}"


def _generated() -> str:
    return secrets.token_urlsafe(12)

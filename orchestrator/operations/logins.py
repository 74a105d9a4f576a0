"""Logins: who came, who failed, and when somebody has to wait after too many wrong passwords.

Failures are counted in the database, so that several web processes count together. Each try is
written down before the password is looked at, so that many at once cannot slip through.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orchestrator.models import Event, LoginTry, Result, Severity
from orchestrator.operations import accounts, advisory_locks, events
from orchestrator.operations.events import Act, Change

WINDOW = timedelta(minutes=15)
MOST_FOR_PAIR = 10
MOST_FOR_ADDRESS = 50
FAILED = "LoginFailed"
# What stands for a name nobody has: it may be a password, typed into the wrong field.
UNKNOWN = "unknown"


class ThrottledBackend(ModelBackend):
    """Checks passwords as Django does, counts wrong ones, and refuses whoever has to wait.

    Every login goes through here, also those of Django's own admin.
    """

    def get_user(self, user_id: int) -> User | None:
        """Return a user with their role, in one query for each page."""
        user = accounts.with_groups(User.objects.filter(pk=user_id)).first()
        return user if user is not None and self.user_can_authenticate(user) else None

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Return the user, or None when the password is wrong.

        Raises:
            PermissionDenied: there were too many wrong ones; Django takes it for a refusal.
        """
        if username is None or password is None:
            return None
        address, now = address_of(request), timezone.now()
        row = _begin(username, address, now)
        if row is None:
            raise PermissionDenied
        user = super().authenticate(request, username=username, password=password, **kwargs)
        if user is None:
            _note_failure(username, address, now)
        else:
            _note_success(user.get_username(), address, now)
        return user


def wait_until(name: str, address: str, *, now: datetime) -> datetime | None:
    """Return until when this name from this address has to wait; None when it may try."""
    for rows, most in _counted(name, address, now):
        times = list(rows.order_by("-at").values_list("at", flat=True)[:most])
        if len(times) >= most:
            return times[-1] + WINDOW
    return None


def address_of(request: HttpRequest | None) -> str:
    """Return where a request came from; one IPv6 network counts as one address."""
    text = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text[:45]
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def forget_old(*, now: datetime) -> int:
    """Forget tries that do not count any more; return how many."""
    return LoginTry.objects.filter(at__lte=now - WINDOW).delete()[0]


@transaction.atomic
def _begin(name: str, address: str, now: datetime) -> LoginTry | None:
    """Write a try down; None, and nothing written, when it is one too many.

    One after the other: a row that is numbered but not yet committed is counted by nobody.
    """
    advisory_locks.take_logins(address)
    row = LoginTry.objects.create(pair=_pair(name, address), address=address, at=now)
    for rows, most in _counted(name, address, now):
        if rows.filter(pk__lte=row.pk).count() > most:
            row.delete()
            return None
    return row


def _counted(name: str, address: str, now: datetime) -> list[tuple[QuerySet[LoginTry], int]]:
    recent = LoginTry.objects.filter(at__gt=now - WINDOW)
    return [
        (recent.filter(pair=_pair(name, address)), MOST_FOR_PAIR),
        (recent.filter(address=address), MOST_FOR_ADDRESS),
    ]


def _pair(name: str, address: str) -> str:
    """Return the key of name and address; a digest, since the name may be a mistyped password."""
    return hashlib.sha256(f"{name}\n{address}".encode(errors="replace")).hexdigest()


def _note_failure(name: str, address: str, now: datetime) -> None:
    is_known = User.objects.filter(username=name).exists()
    who = name if is_known else UNKNOWN
    words = f"as {name}" if is_known else "under a name that nobody has"
    message = f"a login {words} from {address or 'this machine'} failed"
    event = Event(at=now, reason=FAILED, message=message, severity=Severity.WARNING)
    change = Change(actor=who, now=now, via=accounts.SESSION)
    act = Act(verb="login", kind="user", name=who)
    events.done_by(change, event, act, result=Result.FAILED).save()


def _note_success(name: str, address: str, now: datetime) -> None:
    """Record a login; earlier tries of the pair do not count any more."""
    with transaction.atomic():
        LoginTry.objects.filter(pair=_pair(name, address)).delete()
        events.record(
            Change(actor=name, now=now, via=accounts.SESSION),
            "LoggedIn",
            f"{name} logged in from {address or 'this machine'}",
            Act(verb="login", kind="user", name=name),
        )

"""Logins: who came, who failed, and when somebody has to wait after too many wrong passwords.

The record of failures is the event table itself, so that several web processes count together.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.models import Event, Severity

WINDOW = timedelta(minutes=15)
MOST_FOR_PAIR = 10
MOST_FOR_ADDRESS = 50
FAILED = "LoginFailed"


def wait_until(name: str, address: str, *, now: datetime) -> datetime | None:
    """Return until when this name from this address has to wait; None when it may try."""
    recent = Event.objects.filter(reason=FAILED, at__gt=now - WINDOW)
    by_pair = recent.filter(message=_sentence(name, address))
    by_address = recent.filter(message__endswith=f" from {address} failed")
    for rows, most in ((by_pair, MOST_FOR_PAIR), (by_address, MOST_FOR_ADDRESS)):
        times = list(rows.order_by("-at").values_list("at", flat=True)[:most])
        if len(times) >= most:
            return times[-1] + WINDOW
    return None


def note_failure(name: str, address: str, *, now: datetime) -> None:
    """Record a wrong password."""
    Event.objects.create(
        at=now,
        reason=FAILED,
        message=_sentence(name, address),
        severity=Severity.WARNING,
        actor=name[:150],
    )


def note_success(name: str, address: str, *, now: datetime) -> None:
    """Record a login; earlier failures of the pair do not count any more."""
    recent = Event.objects.filter(reason=FAILED, message=_sentence(name, address))
    recent.filter(at__gt=now - WINDOW).update(reason=f"{FAILED}Before")
    Event.objects.create(
        at=now, reason="LoggedIn", message=f"{name} logged in from {address}", actor=name[:150]
    )


def _sentence(name: str, address: str) -> str:
    return f"a login as {name[:150]} from {address} failed"

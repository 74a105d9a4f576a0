"""Locks on a subject that has no row of its own: one transaction at a time goes on.

They are PostgreSQL's advisory locks, let go when the transaction ends. SQLite has one writer,
which is alone from its begin, and needs none.
"""

from __future__ import annotations

import hashlib

from django.db import connection

# Any number, the same in every process: the first digits of the word in ASCII.
_PLACEMENT = 0x706C616365


def take_placement() -> bool:
    """Wait until no other pass places replicas, so that no two count on the same room.

    Return whether another may have placed some since this transaction began. The lock is taken
    after that on a deployment and before those on replicas, and its holder waits for nobody.
    """
    return _take(_PLACEMENT)


def take_logins(address: str) -> None:
    """Wait until no other try to log in from this address is being counted."""
    digest = hashlib.sha256(f"logins {address}".encode()).digest()
    _take(int.from_bytes(digest[:8], "big", signed=True))


def _take(key: int) -> bool:
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])
    return True

"""One pass at a time hands out room on the nodes, so that no two count on the same."""

from __future__ import annotations

from django.db import connection

# Any number, the same in every process: the first digits of the word in ASCII.
_KEY = 0x706C616365


def take() -> bool:
    """Wait until no other pass places replicas; let go when the transaction ends.

    Return whether another may have placed some since this transaction began: not on SQLite, whose
    single writer is alone from the begin. The lock is taken after that on a deployment and before
    those on replicas, and its holder waits for nobody.
    """
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_KEY])
    return True

"""A Celery consumer that is back soon after its broker is.

Celery waits longer after each try, up to half a minute. A node would be taken for lost over that
alone: after three seconds it is suspect.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from celery.worker import consumer

FIRST_SECONDS, MORE_SECONDS, LONGEST_SECONDS = 0.5, 0.5, 2.0


class Consumer(consumer.Consumer):  # type: ignore[misc]  # Celery has no types
    """Waits two seconds between tries at most."""

    def ensure_connected(self, conn: Any) -> Any:
        """Try until the broker takes the connection."""
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=FIRST_SECONDS,
            interval_step=MORE_SECONDS,
            interval_max=LONGEST_SECONDS,
        )
        return super().ensure_connected(conn)

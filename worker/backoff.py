"""When a crashed container may be tried again: at once, then 1, 2, 4 … 60 seconds.

Source: KEP-4603's figures; the count starts anew after ten minutes without a failure.
"""

from __future__ import annotations

LONGEST_SECONDS = 60.0
FORGOTTEN_AFTER_SECONDS = 600.0


def delay_seconds(failures: int) -> float:
    """Return the wait before the next try, after this many failures in a row (from 1)."""
    if failures <= 1:
        return 0.0
    return float(min(2.0 ** min(failures - 2, 10), LONGEST_SECONDS))


def is_forgotten(ran_seconds: float) -> bool:
    """Tell whether a run was long enough for earlier failures not to count."""
    return ran_seconds >= FORGOTTEN_AFTER_SECONDS

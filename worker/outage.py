"""Whether something is away: said once when it goes, and once when it is back."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

# What ends in order takes its time, and has ended others before it stops to answer.
ENDING_SECONDS = 15.0


class Outage:
    """The latest time that one thing, which `what` names, was away. Times are since the epoch."""

    def __init__(self, what: str, clock: Callable[[], float] = time.time) -> None:
        self._what = what
        self._clock = clock
        self._began_at = math.inf
        self._ended_at = -math.inf
        self.why = ""

    @property
    def is_on(self) -> bool:
        """Tell whether it is away now."""
        return bool(self.why)

    def lost(self, error: object) -> None:
        """Note that it does not answer."""
        if not self.is_on:
            self._began_at = self._clock()
            logger.warning("%s does not answer: %s", self._what, error)
        self.why = str(error) or type(error).__name__

    def found(self) -> None:
        """Note that it answers."""
        if self.is_on:
            self._ended_at = self._clock()
            seconds = self._ended_at - self._began_at
            logger.info("%s answers again after %.0f s", self._what, seconds)
        self.why = ""

    def explains(self, at: float) -> bool:
        """Tell whether what ended at a moment may have ended with it."""
        until = math.inf if self.is_on else self._ended_at
        return self._began_at - ENDING_SECONDS <= at <= until

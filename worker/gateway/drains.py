"""Count who is still connected to draining replicas: at once, and then ever less often.

A look costs some 30 ms of processor time, however few they are: the kernel walks its whole list of
connections. Requests would wait for that, and who is still connected after a second mostly is for
many more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from worker.gateway.rotation import View

FIRST_SECONDS, MOST_SECONDS = 0.1, 0.5


class Drains:
    """Remembers who drains, and what was seen of them at the latest look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._replicas: frozenset[str] = frozenset()
        self._busy: frozenset[str] = frozenset()
        self._pause = FIRST_SECONDS
        self._next = 0.0

    @property
    def wait(self) -> float | None:
        """Return in how many seconds the next look is due; None while nobody drains."""
        return max(0.0, self._next - self._clock()) if self._replicas else None

    def busy(
        self, view: View, looks: Iterable[Callable[[View], frozenset[str]]], *, afresh: bool
    ) -> frozenset[str]:
        """Return the draining replicas that are busy by any of the looks, or by those before.

        What was seen before a view was in force says nothing of it: then look `afresh`.
        """
        replicas = frozenset(target.replica for target in view.draining())
        has_changed = replicas != self._replicas
        if has_changed:
            self._replicas, self._pause = replicas, FIRST_SECONDS
        if replicas and (afresh or has_changed or self._clock() >= self._next):
            self._busy = frozenset[str]().union(*(look(view) for look in looks))
            self._next = self._clock() + self._pause
            self._pause = min(2 * self._pause, MOST_SECONDS)
        return self._busy & replicas

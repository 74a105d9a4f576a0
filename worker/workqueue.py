"""A queue of keys: each at most once, never the same key to two workers, now or later.

Source: Kubernetes' client-go work queue: a key added while it is worked on is handed out again
afterwards, because the running pass may have looked before the change.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable


class WorkQueue:
    """Hands out keys to many threads; `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._active: set[str] = set()
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}
        self._closed = False

    def add(self, key: str) -> None:
        """Hand the key out as soon as possible."""
        with self._changed:
            self._add(key)
            self._changed.notify()

    def add_after(self, key: str, seconds: float) -> None:
        """Hand the key out after a while; this replaces an earlier such wish for the key."""
        with self._changed:
            at = self._clock() + seconds
            self._due[key] = at
            heapq.heappush(self._later, (at, key))
            self._changed.notify()

    def get(self, *, block: bool = True) -> str | None:
        """Return the next key, waiting for one; None when closed (or, unblocked, when idle)."""
        with self._changed:
            while True:
                self._take_due()
                if self._closed:
                    return None
                if self._ready:
                    return self._hand_out()
                if not block:
                    return None
                wait = self._later[0][0] - self._clock() if self._later else None
                self._changed.wait(wait)

    def done(self, key: str) -> None:
        """Give the key back; it is handed out again if it was added in the meantime."""
        with self._changed:
            self._active.discard(key)
            if key in self._queued:
                self._ready.append(key)
                self._changed.notify()

    def close(self) -> None:
        """Wake every waiting worker with None."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _add(self, key: str) -> None:
        if key in self._queued:
            return
        self._queued.add(key)
        if key not in self._active:
            self._ready.append(key)

    def _take_due(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            at, key = heapq.heappop(self._later)
            if self._due.get(key) == at:
                del self._due[key]
                self._add(key)

    def _hand_out(self) -> str:
        key = self._ready.popleft()
        self._queued.discard(key)
        self._active.add(key)
        return key

"""Replicas that became ready before our eyes: they serve here until the control plane has spoken.

What it says of a replica counts, also that it drains. Until it has heard that one is ready and has
told everybody, its own node sends it traffic already, and for a moment only: a replica of which the
table says nothing for longer is one that is not to serve.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from worker.gateway.live import LocalReplica, Place

# More than the control plane takes while all is well, and less than an operator would wonder at.
SECONDS = 5.0
_ASSIGNED_SINCE = LocalReplica(namespace="")


class Newcomers:
    """Remembers who was ready at the latest look, and since when those are who became so.

    Of whom the control plane has once spoken since then is none any more: it may be to stop.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}
        self._before: Mapping[str, LocalReplica | None] | None = None

    def seen(self, place: Place, spoken_of: Set[str] = frozenset()) -> Place:
        """Return the place with its newcomers; nobody is one who may have been ready before.

        `spoken_of` are those whom the tables since the latest look named.
        """
        now = self._clock()
        ready = {uid: one for uid, one in place.replicas.items() if one and one.is_ready}
        self._since = {
            uid: at for uid, at in self._since.items() if uid in ready and now - at < SECONDS
        }
        # Before the agent has looked at them all count as ready, as the table may be right.
        self._since |= {uid: now for uid in ready if not self._may_have_been(uid)}
        self._before = dict(place.replicas)
        for uid in spoken_of:
            self._since.pop(uid, None)
        return replace(place, newcomers={uid: ready[uid] for uid in self._since})

    def _may_have_been(self, uid: str) -> bool:
        if self._before is None:
            return True
        before = self._before.get(uid, _ASSIGNED_SINCE)
        return before is None or before.is_ready

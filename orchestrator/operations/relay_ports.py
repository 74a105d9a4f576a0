"""Give ports of replicas a port of their node under which other nodes reach them.

A port is kept until nothing of its replica is left, and given to another much later: gateways that
are behind may dial it for a while.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from functools import cached_property

from django.conf import settings

from orchestrator.core.rotation import Candidate
from orchestrator.models import RelayPort
from orchestrator.operations import many_rows

_Key = tuple[str, str, int]
# To name more replicas than so many takes longer than to read the ports of all.
_FEW = 500

logger = logging.getLogger(__name__)


class RelayPorts:
    """The relay ports of some replicas; what is given is saved with `save`.

    With `needed` false nobody needs any, as there is one node.
    """

    def __init__(self, uids: Iterable[str], *, needed: bool) -> None:
        self._uids = set(uids)
        self._needed = needed
        self._range = settings.RELAY_PORTS
        self._made: list[tuple[str, int, str, str, int]] = []
        self._taken: dict[str, set[int]] = {}

    def __call__(self, candidate: Candidate, port: int, protocol: str) -> int | None:
        """Return the relay port of one port of a replica, None when its node has none left."""
        if not self._needed:
            return None
        key = (candidate.uid, protocol, port)
        if key not in self._known:
            number = self._free(str(candidate.node), key)
            if number is None:
                return None
            self._known[key] = number
            self._made.append((str(candidate.node), number, *key))
        return self._known[key]

    def save(self) -> None:
        """Save what was given."""
        fields = ("node", "number", "replica_uid", "protocol", "port")
        many_rows.insert(RelayPort, fields, self._made)
        self._made = []

    @cached_property
    def _known(self) -> dict[_Key, int]:
        rows = RelayPort.objects.order_by()
        if len(self._uids) <= _FEW:
            rows = rows.filter(replica_uid__in=self._uids)
        columns = ("replica_uid", "protocol", "port", "number")
        return {(uid, word, port): number for uid, word, port, number in rows.values_list(*columns)}

    def _free(self, node: str, key: _Key) -> int | None:
        if node not in self._taken:
            rows = RelayPort.objects.filter(node=node)
            self._taken[node] = set(rows.values_list("number", flat=True))
        taken = self._taken[node]
        first, last = self._range
        size = last - first + 1
        if len(taken) >= size:
            logger.error(
                "Node %s has no relay port left: all from %d to %d are in use, so other nodes do "
                "not reach replica %s there; widen KIJABI_RELAY_PORTS",
                node,
                first,
                last,
                key[0],
            )
            return None
        start = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4])
        number = next(
            first + (start + step) % size
            for step in range(size)
            if first + (start + step) % size not in taken
        )
        taken.add(number)
        return number

"""Choose which replicas of a revision go when it has too many.

The order is Kubernetes' (`ActivePodsWithRanks`), with one rule more: a replica that is ready but
not yet available goes before one that is, so that a smaller revision keeps those that serve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from orchestrator.core.classify import Census, is_ready
from orchestrator.core.snapshot import ReplicaView

KillRank = tuple[bool, int, bool, bool, int, int, int, int, int, str]


def choose(
    candidates: Sequence[ReplicaView], number: int, *, census: Census, now: datetime
) -> tuple[ReplicaView, ...]:
    """Return the `number` replicas that are missed least, first to go first."""
    if number <= 0:
        return ()
    neighbours = Counter(replica.node for replica in census.everyone_live)

    def rank(replica: ReplicaView) -> KillRank:
        return (
            replica.node is not None,
            replica.phase.rank,
            is_ready(replica),
            replica.uid in census.available,
            replica.deletion_cost,
            -neighbours[replica.node],
            _age_bucket(replica.ready_at, now) if is_ready(replica) else 0,
            -replica.restarts,
            _age_bucket(replica.created_at, now),
            replica.uid,
        )

    return tuple(sorted(candidates, key=rank)[:number])


def _age_bucket(since: datetime | None, now: datetime) -> int:
    # Ages are compared by powers of two (of nanoseconds, as Kubernetes has it): exact age would
    # always empty the node that came last.
    if since is None or since >= now:
        return 0
    return ((now - since) // timedelta(microseconds=1) * 1000).bit_length()

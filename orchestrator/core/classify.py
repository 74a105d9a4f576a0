"""Sort replicas: which live, which serve, which go first when some must go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.snapshot import ReplicaView, Snapshot


def available_at(replica: ReplicaView, min_ready_seconds: int) -> datetime | None:
    """Return since when (or from when) a replica counts as available; None while not ready."""
    if replica.phase is not ReplicaPhase.RUNNING or not replica.ready or replica.ready_at is None:
        return None
    return replica.ready_at + timedelta(seconds=min_ready_seconds)


def is_available(replica: ReplicaView, snapshot: Snapshot) -> bool:
    """Tell whether a replica has been ready for the minimum time."""
    since = available_at(replica, snapshot.spec.min_ready_seconds)
    return since is not None and since <= snapshot.now


def live(snapshot: Snapshot, revision: int | None = None) -> tuple[ReplicaView, ...]:
    """Return the replicas that count towards what was asked for, of one revision or all."""
    return tuple(
        replica
        for replica in snapshot.replicas
        if replica.phase.is_live and revision in (None, replica.revision)
    )


def by_kill_order(replicas: Iterable[ReplicaView], now: datetime) -> list[ReplicaView]:
    """Sort replicas of one deployment so that the first is the best to stop.

    Source: Kubernetes `ActivePodsWithRanks`: unplaced, early phase, not ready, low deletion cost,
    crowded node, ready for a short time (in powers of two), many restarts, newer, then by name.
    """
    chosen = list(replicas)
    crowd = Counter(replica.node for replica in chosen if replica.node is not None)

    def rank(replica: ReplicaView) -> tuple[object, ...]:
        return (
            replica.node is not None,
            replica.phase.rank,
            replica.ready,
            replica.deletion_cost,
            -crowd[replica.node],
            _magnitude(replica.ready_at, now),
            -replica.restarts,
            _magnitude(replica.created_at, now),
            replica.uid,
        )

    return sorted(chosen, key=rank)


def _magnitude(since: datetime | None, now: datetime) -> int:
    """Return the power of two of an age in seconds, so that near ages count as equal."""
    if since is None:
        return 0
    return max(0, int((now - since).total_seconds())).bit_length()

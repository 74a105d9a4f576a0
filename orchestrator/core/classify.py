"""Sort the replicas of one deployment into those that count, those that serve, those that leave.

Every listed replica is either live or stopping; an available one is always live, ready and running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.snapshot import ReplicaView, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Who is there: live replicas by revision, the stopping ones, and the uids that serve.

    `leaving` are the live ones on nodes that are being drained.
    """

    live: Mapping[int, tuple[ReplicaView, ...]]
    stopping: tuple[ReplicaView, ...]
    available: frozenset[str]
    leaving: frozenset[str] = frozenset()

    @property
    def everyone_live(self) -> tuple[ReplicaView, ...]:
        """Return the live replicas of all revisions, oldest revision first."""
        return tuple(replica for replicas in self.live.values() for replica in replicas)

    @property
    def total(self) -> int:
        """Return how many replicas are live."""
        return sum(len(replicas) for replicas in self.live.values())

    @property
    def ready(self) -> int:
        """Return how many live replicas are ready, however briefly."""
        return sum(is_ready(replica) for replica in self.everyone_live)

    def available_of(self, revision: int) -> int:
        """Return how many replicas of the revision are available."""
        return sum(replica.uid in self.available for replica in self.live[revision])

    def without(self, uids: frozenset[str]) -> Census:
        """Return the census as it is once these replicas have left."""
        return Census(
            live={
                revision: tuple(replica for replica in replicas if replica.uid not in uids)
                for revision, replicas in self.live.items()
            },
            stopping=self.stopping,
            available=self.available - uids,
            leaving=self.leaving - uids,
        )


def take_census(snapshot: Snapshot) -> Census:
    """Return who is there, by revision."""
    live: dict[int, list[ReplicaView]] = {view.number: [] for view in snapshot.revisions}
    stopping: list[ReplicaView] = []
    for replica in snapshot.replicas:
        (live[replica.revision] if replica.phase.is_live else stopping).append(replica)
    wait = snapshot.spec.min_ready_seconds
    drained = {node.name for node in snapshot.nodes if node.draining}
    return Census(
        live={revision: tuple(replicas) for revision, replicas in live.items()},
        stopping=tuple(stopping),
        available=frozenset(
            replica.uid
            for replica in snapshot.replicas
            if (at := available_at(replica, min_ready_seconds=wait)) and at <= snapshot.now
        ),
        leaving=frozenset(
            replica.uid
            for replica in snapshot.replicas
            if replica.phase.is_live and replica.node in drained
        ),
    )


def is_ready(replica: ReplicaView) -> bool:
    """Tell whether the replica runs and its node calls it ready."""
    return replica.phase is ReplicaPhase.RUNNING and replica.ready


def available_at(replica: ReplicaView, *, min_ready_seconds: int) -> datetime | None:
    """Return when the replica counts as available if it stays ready, or None while it is not."""
    if not is_ready(replica) or replica.ready_at is None:
        return None
    return replica.ready_at + timedelta(seconds=min_ready_seconds)

"""Sort the replicas of one deployment into those that count, those that serve, those that leave.

Every listed replica is either live or stopping; an available one is always live, ready and running.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from orchestrator.core.lifecycle import NodeState, ReplicaPhase
from orchestrator.core.plan import Reason
from orchestrator.core.snapshot import ReplicaView, Snapshot

# Of one deployment, when a node is lost: a herd of starts would hit the nodes that are left.
REPLACED_AT_ONCE = 10
REPLACED_PER_SECOND = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A live replica that is to leave its node: for which reason, and in words why.

    Its successor goes to `target` if that is given, and to none of those in `away_from`. `moves`
    says how often in a row it will have moved because it kept failing.
    """

    replica: ReplicaView
    reason: Reason
    why: str
    target: str | None = None
    away_from: frozenset[str] = frozenset()
    moves: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """Who is there: live replicas by revision, the stopping ones, and the uids that serve.

    `leaving` are the live ones that are to leave their nodes, by uid; `stuck` would, and says what
    they wait for. `unreachable` are on lost nodes: they may run or not; they count for nothing
    until the node is heard again.
    """

    live: Mapping[int, tuple[ReplicaView, ...]]
    stopping: tuple[ReplicaView, ...]
    available: frozenset[str]
    leaving: Mapping[str, Departure] = field(default_factory=dict)
    stuck: Mapping[str, str] = field(default_factory=dict)
    unreachable: tuple[ReplicaView, ...] = ()

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
        return replace(
            self,
            live={
                revision: tuple(replica for replica in replicas if replica.uid not in uids)
                for revision, replicas in self.live.items()
            },
            available=self.available - uids,
            leaving={uid: item for uid, item in self.leaving.items() if uid not in uids},
        )


def take_census(snapshot: Snapshot) -> Census:
    """Return who is there, by revision."""
    live: dict[int, list[ReplicaView]] = {view.number: [] for view in snapshot.revisions}
    stopping: list[ReplicaView] = []
    given_up = _given_up(snapshot)
    for replica in snapshot.replicas:
        if replica not in given_up:
            (live[replica.revision] if replica.phase.is_live else stopping).append(replica)
    lost = {node.name for node in snapshot.nodes if node.state is NodeState.LOST}
    wait = snapshot.spec.min_ready_seconds
    drained = {node.name for node in snapshot.nodes if node.draining}
    return Census(
        live={revision: tuple(replicas) for revision, replicas in live.items()},
        stopping=tuple(stopping),
        available=frozenset(
            replica.uid
            for replica in snapshot.replicas
            if replica.node not in lost
            and (at := available_at(replica, min_ready_seconds=wait))
            and at <= snapshot.now
        ),
        leaving={
            replica.uid: Departure(
                replica=replica, reason=Reason.DRAIN, why=f"node {replica.node} is drained"
            )
            for replica in snapshot.replicas
            if replica.phase.is_live and replica.node in drained and replica not in given_up
        },
        unreachable=given_up,
    )


def _given_up(snapshot: Snapshot) -> tuple[ReplicaView, ...]:
    """Return the live replicas on lost nodes that are to be replaced by now: not all at once."""
    if snapshot.spec.fenced:
        return ()
    lost = {node.name: node.lost_at for node in snapshot.nodes if node.state is NodeState.LOST}
    if not lost:
        return ()
    there = [view for view in snapshot.replicas if view.phase.is_live and view.node in lost]
    since = [at for view in there if (at := lost[str(view.node)]) is not None]
    seconds = (snapshot.now - min(since)) // timedelta(seconds=1) if since else 0
    return tuple(there[: REPLACED_AT_ONCE + REPLACED_PER_SECOND * max(0, seconds)])


def is_ready(replica: ReplicaView) -> bool:
    """Tell whether the replica runs and its node calls it ready."""
    return replica.phase is ReplicaPhase.RUNNING and replica.ready


def available_at(replica: ReplicaView, *, min_ready_seconds: int) -> datetime | None:
    """Return when the replica counts as available if it stays ready, or None while it is not."""
    if not is_ready(replica) or replica.ready_at is None:
        return None
    return replica.ready_at + timedelta(seconds=min_ready_seconds)

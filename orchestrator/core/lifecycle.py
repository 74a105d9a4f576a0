"""The one-way life of a replica, and the states of a node.

Invariant: a phase never moves back. Restarts in place happen inside `RUNNING` (or `STARTING`).
"""

from __future__ import annotations

from enum import StrEnum


class ReplicaPhase(StrEnum):
    """A replica's place in its life; members are in order, terminal ones last.

    A withdrawn one is to stop, and still runs: it gets no new connections and may finish those it
    has.
    """

    PENDING = "pending"
    ASSIGNED = "assigned"
    PULLING = "pulling"
    STARTING = "starting"
    RUNNING = "running"
    WITHDRAWN = "withdrawn"
    STOPPING = "stopping"
    STOPPED = "stopped"
    LOST = "lost"

    @property
    def is_live(self) -> bool:
        """Tell whether the replica counts towards what was asked for."""
        return self in _LIVE

    @property
    def is_gone(self) -> bool:
        """Tell whether nothing of it runs any more, as far as anybody knows."""
        return self > ReplicaPhase.STOPPING

    @property
    def rank(self) -> int:
        """Return the position in life, from 0."""
        return _RANK[self]

    def __lt__(self, other: object) -> bool:
        """Compare by position in life, not by spelling."""
        return self.rank < ReplicaPhase(str(other)).rank

    def __gt__(self, other: object) -> bool:
        """Compare by position in life, not by spelling."""
        return self.rank > ReplicaPhase(str(other)).rank


_RANK = {phase: rank for rank, phase in enumerate(ReplicaPhase)}

LIVE_PHASES = tuple(phase for phase in ReplicaPhase if phase < ReplicaPhase.WITHDRAWN)
_LIVE = frozenset(LIVE_PHASES)
LEAVING_PHASES = (ReplicaPhase.WITHDRAWN, ReplicaPhase.STOPPING)
GONE_PHASES = tuple(phase for phase in ReplicaPhase if phase.is_gone)


def may_follow(*, current: ReplicaPhase, new: ReplicaPhase) -> bool:
    """Tell whether `current` may be followed by `new`: forward only, and never from gone."""
    return not current.is_gone and new.rank > current.rank


class NodeState(StrEnum):
    """What the control plane believes of a node: suspect ones have not been heard for a little."""

    READY = "ready"
    SUSPECT = "suspect"
    LOST = "lost"


class RolloutState(StrEnum):
    """Where the move to the current revision stands; the reasons are Kubernetes' own."""

    PROGRESSING = "ReplicaSetUpdated"
    COMPLETE = "NewReplicaSetAvailable"
    DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
    PAUSED = "DeploymentPaused"

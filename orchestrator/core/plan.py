"""The planner's output: typed actions, each with its reason, and when to look again.

`operations.reconcile` carries a plan out as it stands; it never decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestrator.core.snapshot import RolloutView
from orchestrator.core.spec import Resources


class Reason(StrEnum):
    """Why an action is taken; stored with the event and shown to people."""

    SCALE_UP = "ScaleUp"
    SCALE_DOWN = "ScaleDown"
    ROLLOUT_SURGE = "RolloutSurge"
    ROLLOUT_RETIRE = "RolloutRetire"
    RECREATE_STOP = "RecreateStop"
    REPLACE_MISSING = "ReplaceMissing"
    REMOVE_UNHEALTHY = "RemoveUnhealthy"
    DELETE = "DeploymentDeleted"
    PLACED = "Placed"
    UNPLACEABLE = "Unplaceable"
    DRAIN = "NodeDrain"
    RESCHEDULE = "Rescheduled"
    RESCHEDULE_WAITS = "RescheduleWaits"
    REBALANCE = "Rebalanced"
    MOVE_ENDED = "MoveEnded"
    RESIZE = "ResizeInPlace"
    RESIZE_WAITS = "ResizeWaits"
    DEADLINE = "ProgressDeadlineExceeded"
    COMPLETE = "RolloutComplete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleRevision:
    """Set how many replicas a revision should have."""

    revision: int
    desired: int
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartReplica:
    """Create a replica; `node` None means it waits, and `waiting` says for what.

    One that moves another away from its node `replaces` that; `origin` says so to people, and
    `moves` how often in a row it was because it kept failing.
    """

    revision: int
    slot: int
    node: str | None
    resources: Resources
    reason: Reason
    message: str
    waiting: str = ""
    replaces: str = ""
    moves: int = 0
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssignReplica:
    """Give a waiting replica to a node (or, with `node` None, renew what it waits for).

    `is_news` false means that only numbers in the sentence moved: no event is written for that.
    """

    replica: str
    node: str | None
    resources: Resources
    reason: Reason
    message: str
    waiting: str = ""
    is_news: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReplica:
    """Stop a replica for good."""

    replica: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReplica:
    """Change the limits of a running replica in place."""

    replica: str
    resources: Resources
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndMove:
    """Strike a move that was asked for off the list: it is `done`, or dropped for a reason."""

    move: int
    done: bool
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailRollout:
    """The rollout missed its deadline; roll back to `rollback_to` when that is not None."""

    revision: int
    rollback_to: int | None
    pause: bool
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteRollout:
    """Every replica is of the current revision and available."""

    revision: int
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneRevision:
    """Forget an old revision beyond the history limit."""

    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishDeletion:
    """Nothing of a deleted deployment is left: remove its row."""


Action = (
    ScaleRevision
    | StartReplica
    | AssignReplica
    | StopReplica
    | UpdateReplica
    | EndMove
    | FailRollout
    | CompleteRollout
    | PruneRevision
    | FinishDeletion
)


class DeploymentPhase(StrEnum):
    """One word for how a deployment does."""

    PROGRESSING = "Progressing"
    AVAILABLE = "Available"
    DEGRADED = "Degraded"
    FAILED = "Failed"
    PAUSED = "Paused"
    DELETING = "Deleting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The status people read: a word, a sentence, and Kubernetes' counts of live replicas.

    `replicas` counts live ones, `updated` those of the current revision, `ready` and `available`
    over all revisions.
    """

    phase: DeploymentPhase
    message: str
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one pass wants done. `settled` means: as asked for, nothing to wait for.

    `wake_at` is when time alone will change the answer (a minimum ready time, a deadline).
    `rollout` is what the next pass needs to remember.
    """

    actions: tuple[Action, ...]
    verdict: Verdict
    rollout: RolloutView
    settled: bool
    wake_at: datetime | None = None

    @property
    def takes_room(self) -> bool:
        """Tell whether a node is to carry more than before."""
        return any(
            isinstance(action, UpdateReplica)
            or (isinstance(action, StartReplica | AssignReplica) and action.node is not None)
            for action in self.actions
        )

"""What a user may ask for, as far as decisions depend on it; nonsense is refused on creation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

MAX_REPLICAS = 5000


class Strategy(StrEnum):
    """How one revision gives way to the next."""

    ROLLING_UPDATE = "RollingUpdate"
    RECREATE = "Recreate"


class OnFailure(StrEnum):
    """What happens when a rollout misses its progress deadline."""

    ROLLBACK = "rollback"
    PAUSE = "pause"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePolicy:
    """Bounds of a rolling update, as counts (Kubernetes rounds surge up, unavailable down).

    Both bounds zero would stall for ever; `resolve` turns that into one unavailable.
    """

    strategy: Strategy = Strategy.ROLLING_UPDATE
    max_surge: int = 1
    max_unavailable: int = 0

    def __post_init__(self) -> None:
        """Refuse bounds under which no step is ever possible."""
        if self.max_surge < 0 or self.max_unavailable < 0:
            raise ValueError("maxSurge and maxUnavailable must not be negative")
        if self.strategy is Strategy.ROLLING_UPDATE and self.max_surge + self.max_unavailable == 0:
            raise ValueError("maxSurge and maxUnavailable must not both be zero")

    @classmethod
    def resolve(cls, *, replicas: int, surge: int | str, unavailable: int | str) -> UpdatePolicy:
        """Return counts for bounds given as counts or per cent of `replicas` (`"25%"`).

        Source: Kubernetes `ResolveFenceposts`: surge rounds up, unavailable down, and two zeros
        become one unavailable.
        """
        resolved_surge = _resolve(surge, replicas, up=True)
        resolved_unavailable = _resolve(unavailable, replicas, up=False)
        if resolved_surge == 0 and resolved_unavailable == 0:
            resolved_unavailable = 1
        return cls(max_surge=resolved_surge, max_unavailable=resolved_unavailable)


def _resolve(value: int | str, replicas: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    if not value.endswith("%") or not value[:-1].isdigit():
        raise ValueError(f"{value!r} is neither a count nor a percentage such as '25%'")
    share = replicas * int(value[:-1])
    return -(-share // 100) if up else share // 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """So much cpu (thousandths of a core) and so much memory (bytes)."""

    cpu_millis: int = 0
    memory_bytes: int = 0

    def __add__(self, other: Amounts) -> Amounts:
        """Return both together."""
        return Amounts(
            cpu_millis=self.cpu_millis + other.cpu_millis,
            memory_bytes=self.memory_bytes + other.memory_bytes,
        )

    def __sub__(self, other: Amounts) -> Amounts:
        """Return what is left; less than nothing is possible."""
        return Amounts(
            cpu_millis=self.cpu_millis - other.cpu_millis,
            memory_bytes=self.memory_bytes - other.memory_bytes,
        )

    def at_least(self, other: Amounts) -> Amounts:
        """Return the larger of both, each kind by itself."""
        return Amounts(
            cpu_millis=max(self.cpu_millis, other.cpu_millis),
            memory_bytes=max(self.memory_bytes, other.memory_bytes),
        )


NOTHING = Amounts()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Requests and limits of one replica: cpu in thousandths of a core, memory in bytes."""

    cpu_limit_millis: int | None = None
    memory_limit_bytes: int | None = None
    cpu_request_millis: int | None = None
    memory_request_bytes: int | None = None

    @property
    def requested(self) -> Amounts:
        """Return what a node has to have free for the replica."""
        return Amounts(
            cpu_millis=self.cpu_request_millis or 0, memory_bytes=self.memory_request_bytes or 0
        )


NO_RESOURCES = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReschedulePolicy:
    """When a replica that keeps failing on its node moves to another one.

    After `failures` within `within`; a replica that was moved already stays for `apart`, then for
    twice as long, and so on up to `longest`. No failures at all turn it off.
    """

    failures: int = 5
    within: timedelta = timedelta(minutes=10)
    apart: timedelta = timedelta(minutes=10)
    longest: timedelta = timedelta(hours=3)

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense."""
        if self.failures < 0 or self.within <= timedelta(0) or self.apart <= timedelta(0):
            raise ValueError("failures must not be negative, and the times must be positive")

    def stay(self, moves: int) -> timedelta:
        """Return how long a replica stays at least, moved so many times in a row before."""
        if not moves:
            return timedelta(0)
        return min(self.longest, self.apart * (1 << min(moves - 1, 20)))


RESCHEDULING = ReschedulePolicy()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentSpec:
    """The whole wish for one deployment, without what only the node needs to know.

    `fenced` replicas must never run twice: one on a lost node is not replaced before that node is
    heard again or forgotten.
    """

    replicas: int = 1
    policy: UpdatePolicy = UpdatePolicy()
    min_ready_seconds: int = 0
    progress_deadline_seconds: int = 600
    revision_history_limit: int = 10
    paused: bool = False
    on_failure: OnFailure = OnFailure.ROLLBACK
    fenced: bool = False

    def __post_init__(self) -> None:
        """Refuse counts and times out of range."""
        if not 0 <= self.replicas <= MAX_REPLICAS:
            raise ValueError(f"replicas must be between 0 and {MAX_REPLICAS}")
        if self.min_ready_seconds < 0 or self.revision_history_limit < 0:
            raise ValueError("minReadySeconds and revisionHistoryLimit must not be negative")
        if self.progress_deadline_seconds <= self.min_ready_seconds:
            raise ValueError("progressDeadlineSeconds must be greater than minReadySeconds")

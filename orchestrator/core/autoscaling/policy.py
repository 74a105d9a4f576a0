"""What an autoscaler is asked to do; nonsense is refused on creation.

Amounts are whole numbers: cpu and requests in thousandths, memory in bytes, utilisation in percent
of what a replica requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from orchestrator.core.autoscaling.schedule import Window
from orchestrator.core.spec import MAX_REPLICAS

LONGEST_WINDOW_SECONDS = 3600
LONGEST_PERIOD_SECONDS = 1800
DEFAULT_TOLERANCE = Fraction(1, 10)


class Source(StrEnum):
    """What is measured of every replica."""

    CPU = "cpu"
    MEMORY = "memory"
    REQUESTS_PER_SECOND = "requests_per_second"
    REQUESTS_IN_FLIGHT = "requests_in_flight"

    @property
    def is_resource(self) -> bool:
        """Tell whether nodes measure it; gateways report the others."""
        return self in (Source.CPU, Source.MEMORY)


class TargetKind(StrEnum):
    """How a target is given, with Kubernetes' names."""

    UTILIZATION = "Utilization"
    AVERAGE_VALUE = "AverageValue"


class PolicyKind(StrEnum):
    """What a policy of pace counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class Select(StrEnum):
    """Which of several policies of pace counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One measure and what it should be on average over the replicas."""

    source: Source
    target_kind: TargetKind
    target: int

    def __post_init__(self) -> None:
        """Refuse targets that nothing can meet."""
        if self.target <= 0:
            raise ValueError("a target must be greater than 0")
        if self.target_kind is TargetKind.UTILIZATION and not self.source.is_resource:
            raise ValueError(f"{self.source} is requested by nobody, so it has no utilisation")


@dataclass(frozen=True, slots=True, kw_only=True)
class PacePolicy:
    """At most `value` replicas, or percent of them, within `period_seconds`."""

    kind: PolicyKind
    value: int
    period_seconds: int

    def __post_init__(self) -> None:
        """Refuse a policy that would never let anything happen, or that nothing remembers."""
        if self.value <= 0:
            raise ValueError("a policy's value must be greater than 0")
        if not 1 <= self.period_seconds <= LONGEST_PERIOD_SECONDS:
            raise ValueError(f"a period is between 1 and {LONGEST_PERIOD_SECONDS} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one direction is taken: after which window, how fast, and from which difference on."""

    window_seconds: int
    select: Select = Select.MAX
    policies: tuple[PacePolicy, ...]
    tolerance: Fraction = DEFAULT_TOLERANCE

    def __post_init__(self) -> None:
        """Refuse windows and tolerances out of range."""
        if not 0 <= self.window_seconds <= LONGEST_WINDOW_SECONDS:
            raise ValueError(f"a window is between 0 and {LONGEST_WINDOW_SECONDS} seconds")
        if self.tolerance < 0:
            raise ValueError("a tolerance must not be negative")
        if not self.policies:
            raise ValueError("at least one policy is needed")

    @property
    def longest_period_seconds(self) -> int:
        """Return how long a change of size counts."""
        return max(policy.period_seconds for policy in self.policies)


_DOUBLE = PacePolicy(kind=PolicyKind.PERCENT, value=100, period_seconds=15)
DEFAULT_UP = Rules(
    window_seconds=0,
    policies=(PacePolicy(kind=PolicyKind.PODS, value=4, period_seconds=15), _DOUBLE),
)
DEFAULT_DOWN = Rules(window_seconds=300, policies=(_DOUBLE,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole wish of one autoscaler."""

    minimum: int = 1
    maximum: int
    metrics: tuple[Metric, ...]
    up: Rules = DEFAULT_UP
    down: Rules = DEFAULT_DOWN
    schedule: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        """Refuse bounds that nothing fits, and a policy that measures nothing.

        Only one that looks at requests may come down to 0: nothing else tells when to come back.
        """
        if not 0 <= self.minimum <= self.maximum <= MAX_REPLICAS or not self.maximum:
            raise ValueError(
                f"bounds must be 0 ≤ minimum ≤ maximum ≤ {MAX_REPLICAS}, and maximum above 0"
            )
        if not self.metrics:
            raise ValueError("at least one metric is needed")
        if self.may_sleep and all(metric.source.is_resource for metric in self.metrics):
            raise ValueError("a minimum of 0 needs a metric of requests")

    @property
    def may_sleep(self) -> bool:
        """Tell whether there may be no replica at all, always or in some window."""
        return self.minimum == 0 or any(window.minimum == 0 for window in self.schedule)

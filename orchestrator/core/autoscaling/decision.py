"""What an evaluation found: every number it used, what came of it, and why.

The words of `Outcome` and `Word` are Kubernetes' own where it has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction

from orchestrator.core.autoscaling.policy import Metric


class Outcome(StrEnum):
    """What one metric calls for, and by which rule."""

    PROPOSED = "Proposed"
    WITHIN_TOLERANCE = "WithinTolerance"
    WOULD_TURN = "WouldTurn"
    NO_METRICS = "FailedGetMetric"


class Word(StrEnum):
    """Why the number becomes what it becomes, or stays."""

    SCALED_UP = "MetricAboveTarget"
    SCALED_DOWN = "AllMetricsBelowTarget"
    ABOVE_MAXIMUM = "AboveMaximum"
    BELOW_MINIMUM = "BelowMinimum"
    AT_TARGET = "DesiredWithinRange"
    UP_STABILISED = "ScaleUpStabilized"
    DOWN_STABILISED = "ScaleDownStabilized"
    UP_LIMITED = "ScaleUpLimit"
    DOWN_LIMITED = "ScaleDownLimit"
    TOO_MANY = "TooManyReplicas"
    TOO_FEW = "TooFewReplicas"
    ROLLING_OUT = "FrozenByRollout"
    STILL_BUSY = "RequestsUnderWay"
    ASLEEP = "Asleep"
    WOKEN = "RequestsWaiting"
    UNWATCHED = "NobodyWatches"
    DISABLED = "ScalingDisabled"
    NO_METRICS = "FailedGetMetric"
    NO_TARGET = "FailedGetScale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """One pass of the arithmetic: `total` over `basis` (replicas, or what they request) is `value`.

    `value` is cut to a whole number, as Kubernetes does; `ratio` is it over the target.
    """

    total: int
    basis: int
    replicas: int
    value: int
    ratio: Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one metric says, and what it was made of: the value of each replica in `used`.

    `measured` is the average over those that count. Where some lack a value or are not ready,
    `filled` is the average with `assumed_missing` and `assumed_unready` in their place (None: they
    are left out). `proposal` is None when the metric says nothing, and `failure` tells why.
    """

    metric: Metric
    outcome: Outcome
    proposal: int | None = None
    measured: Average | None = None
    filled: Average | None = None
    used: tuple[tuple[str, int], ...] = ()
    missing: tuple[str, ...] = ()
    unready: tuple[str, ...] = ()
    assumed_missing: int | None = None
    assumed_unready: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The bounds in force; `windows` are the lines of the schedule they come from, if any."""

    minimum: int
    maximum: int
    windows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the autoscaler makes of one observation.

    The number goes through four steps, each a field: `proposed` by the metrics (None: they were
    not asked, or said nothing), `stabilised` by the windows, `paced` by policies and bounds, and
    `desired`, what becomes of it. `held_by` are the rules that changed it on this way. `note` says
    what the word alone does not.
    """

    now: datetime
    current: int
    bounds: Bounds
    desired: int
    word: Word
    verdicts: tuple[Verdict, ...] = ()
    proposed: int | None = None
    leader: Metric | None = None
    stabilised: int | None = None
    paced: int | None = None
    held_by: tuple[Word, ...] = ()
    note: str = ""

    @property
    def changes(self) -> bool:
        """Tell whether another number of replicas is wanted now."""
        return self.desired != self.current

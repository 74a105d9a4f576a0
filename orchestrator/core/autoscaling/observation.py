"""All that an evaluation may look at: the replicas, what was measured of them, and what was before.

An observation is a value: two equal observations give equal decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from orchestrator.core.autoscaling.policy import Source

NO_GATEWAY = "no gateway reports requests"
NO_ROUTE = "no Ingress leads to its replicas, so no gateway counts their requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One value of one replica, measured over the `window` that ended `at`."""

    value: int
    at: datetime
    window: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLoad:
    """One replica as the autoscaler sees it.

    `pending`: not running yet; `leaving`: being stopped. `readiness_changed_at` is when it last
    became ready or unready, None while it has never been looked at. `requested` are what it
    requests of cpu (thousandths) and memory (bytes); `samples` what was measured, by source.
    """

    uid: str
    pending: bool = False
    leaving: bool = False
    ready: bool = True
    started_at: datetime | None = None
    readiness_changed_at: datetime | None = None
    requested: Mapping[Source, int] = field(default_factory=dict)
    samples: Mapping[Source, Sample] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What the metrics alone called for at some moment, before windows and pace."""

    at: datetime
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """A change of the number of replicas that was carried out: how many more, or less."""

    at: datetime
    change: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The frozen input of one evaluation.

    `current` is how many replicas are wanted now. `recommendations` and `resizes` are those of
    the longest window and period at least. `silent` has a sentence for each source that nobody
    reports at all.

    One that is `asleep` has no replica because of an earlier decision, not because somebody wants
    none. `waiting` tells that requests wait for it at a gateway, `unwatched` why none could.
    """

    now: datetime
    current: int
    replicas: tuple[ReplicaLoad, ...] = ()
    rolling_out: bool = False
    recommendations: tuple[Recommendation, ...] = ()
    resizes: tuple[Resize, ...] = ()
    silent: Mapping[Source, str] = field(default_factory=dict)
    asleep: bool = False
    waiting: bool = False
    unwatched: str = ""

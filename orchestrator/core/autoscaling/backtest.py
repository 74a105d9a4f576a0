"""Replay what was measured through a policy: how many replicas there would have been, and when.

The load is taken as a whole and shared by as many replicas as the policy would have had, all of
them ready. What a limit held down at the time was not measured, so a policy that would have let
the load grow looks calmer here than it would have been.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from orchestrator.core.autoscaling.evaluation import bounds_at, evaluate
from orchestrator.core.autoscaling.observation import (
    Observation,
    Recommendation,
    ReplicaLoad,
    Resize,
    Sample,
)
from orchestrator.core.autoscaling.policy import (
    LONGEST_PERIOD_SECONDS,
    LONGEST_WINDOW_SECONDS,
    Policy,
    Source,
)

_SETTLED = timedelta(hours=1)
_MEMORY = timedelta(seconds=max(LONGEST_WINDOW_SECONDS, LONGEST_PERIOD_SECONDS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What all replicas used together until `at`, and how many there were."""

    at: datetime
    total: Mapping[Source, int]
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """How many replicas there would have been: at each moment, and summed up.

    `flaps` are the times the number turned its direction; `changes` are all its changes.
    """

    replicas: tuple[tuple[datetime, int], ...]
    changes: int
    flaps: int
    replica_hours: float
    highest: int


def replay(
    policy: Policy,
    moments: Sequence[Moment],
    *,
    requested: Mapping[Source, int],
    silent: Mapping[Source, str],
) -> Course:
    """Return the course of a policy over what was measured, oldest moment first."""
    course: list[tuple[datetime, int]] = []
    recommendations: list[Recommendation] = []
    resizes: list[Resize] = []
    current = _beginning(policy, moments)
    for moment in moments:
        decision = evaluate(
            policy,
            Observation(
                now=moment.at,
                current=current,
                replicas=_shared(moment, current, requested),
                recommendations=tuple(_lately(recommendations, moment.at)),
                resizes=tuple(one for one in resizes if one.at > moment.at - _MEMORY),
                silent=silent,
                asleep=current == 0,
                waiting=any(n for s, n in moment.total.items() if not s.is_resource),
            ),
        )
        if decision.proposed is not None:
            recommendations.append(Recommendation(at=moment.at, replicas=decision.proposed))
        if decision.changes:
            resizes.append(Resize(at=moment.at, change=decision.desired - current))
        current = decision.desired
        course.append((moment.at, current))
    return summary(course)


def summary(course: Sequence[tuple[datetime, int]]) -> Course:
    """Return a course with what can be said of it in numbers."""
    steps = [after - before for (_, before), (_, after) in pairwise(course) if after != before]
    hours = sum(
        before * (later - at) / timedelta(hours=1) for (at, before), (later, _) in pairwise(course)
    )
    return Course(
        replicas=tuple(course),
        changes=len(steps),
        flaps=sum((before > 0) != (after > 0) for before, after in pairwise(steps)),
        replica_hours=round(hours, 3),
        highest=max((number for _, number in course), default=0),
    )


def _beginning(policy: Policy, moments: Sequence[Moment]) -> int:
    if not moments:
        return policy.minimum
    bounds = bounds_at(policy, moments[0].at)
    return min(max(moments[0].replicas, bounds.minimum), bounds.maximum)


def _lately(known: Sequence[Recommendation], now: datetime) -> list[Recommendation]:
    return [one for one in known if one.at > now - _MEMORY]


def _shared(
    moment: Moment, number: int, requested: Mapping[Source, int]
) -> tuple[ReplicaLoad, ...]:
    """Return so many ready replicas, each with its share of the load (the first get the rest)."""
    long_ago = moment.at - _SETTLED
    return tuple(
        ReplicaLoad(
            uid=str(index),
            started_at=long_ago,
            readiness_changed_at=long_ago,
            requested=requested,
            samples={
                source: Sample(
                    value=total // number + (index < total % number),
                    at=moment.at,
                    window=timedelta(seconds=1),
                )
                for source, total in moment.total.items()
            },
        )
        for index in range(number)
    )

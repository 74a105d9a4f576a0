"""How many replicas one metric calls for: Kubernetes' replica calculator.

Ratios are exact fractions, so that no replica is added by the rounding of a machine's numbers
(1.12 × 25 is 28, where Kubernetes' 28.000000000000004 makes 29).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from orchestrator.core.autoscaling.decision import Average, Outcome, Verdict
from orchestrator.core.autoscaling.grouping import Groups, counted, group
from orchestrator.core.autoscaling.observation import Observation, ReplicaLoad
from orchestrator.core.autoscaling.policy import Metric, Policy, TargetKind
from orchestrator.core.wording import count

Values = Mapping[str, int]


def propose(policy: Policy, metric: Metric, observation: Observation) -> Verdict:
    """Return what one metric calls for."""
    replicas = counted(observation)
    groups = group(replicas, metric.source, observation.now)
    blank = Verdict(
        metric=metric,
        outcome=Outcome.NO_METRICS,
        ready=_uids(groups.ready),
        missing=_uids(groups.missing),
        unready=_uids(groups.unready),
        failure=_failure(metric, observation, replicas, groups),
    )
    if blank.failure:
        return blank
    requested = {r.uid: r.requested.get(metric.source, 0) for r in replicas}
    values = {r.uid: r.samples[metric.source].value for r in groups.ready}
    measured = _average(metric, values, requested)
    counts_unready = bool(groups.unready) and measured.ratio > 1
    if not counts_unready and not groups.missing:
        within = _within(policy, measured.ratio)
        outcome = Outcome.WITHIN_TOLERANCE if within else Outcome.PROPOSED
        return _settled(replace(blank, measured=measured), outcome, observation.current, measured)
    missing = _for_missing(blank, measured.ratio, requested)
    unready = dict.fromkeys(blank.unready, 0) if counts_unready else {}
    filled = _average(metric, {**values, **missing, **unready}, requested)
    verdict = replace(
        blank,
        measured=measured,
        filled=filled,
        assumed_missing=max(missing.values(), default=None),
        assumed_unready=max(unready.values(), default=None),
    )
    outcome = _second_look(policy, observation.current, measured, filled)
    return _settled(verdict, outcome, observation.current, filled)


def _settled(verdict: Verdict, outcome: Outcome, current: int, average: Average) -> Verdict:
    proposal = _up(average) if outcome is Outcome.PROPOSED else current
    return replace(verdict, outcome=outcome, proposal=proposal)


def _failure(
    metric: Metric, observation: Observation, replicas: Sequence[ReplicaLoad], groups: Groups
) -> str:
    """Return why the metric cannot be used now, or nothing."""
    if metric.source in observation.silent:
        return observation.silent[metric.source]
    if not replicas:
        return "there is no replica to measure"
    if metric.target_kind is TargetKind.UTILIZATION and any(
        not replica.requested.get(metric.source) for replica in replicas
    ):
        place = f"resources.requests.{metric.source}"
        return f"replicas request no {metric.source}, so there is no utilisation; set {place}"
    if not groups.ready:
        waiting = count(len(groups.unready), "replica")
        return f"no replica that counts has a value of {metric.source} yet ({waiting} not ready)"
    return ""


def _average(metric: Metric, values: Values, requested: Values) -> Average:
    total = sum(values.values())
    if metric.target_kind is TargetKind.UTILIZATION:
        basis = sum(requested[uid] for uid in values)
        value = total * 100 // basis
    else:
        basis = len(values)
        value = total // basis
    ratio = Fraction(value, metric.target)
    return Average(total=total, basis=basis, replicas=len(values), value=value, ratio=ratio)


def _for_missing(verdict: Verdict, ratio: Fraction, requested: Values) -> dict[str, int]:
    """Return what replicas without a value are taken to use: whatever holds the change back."""
    metric = verdict.metric
    if ratio == 1:
        return {}
    if ratio > 1:
        return dict.fromkeys(verdict.missing, 0)
    if metric.target_kind is TargetKind.UTILIZATION:
        share = max(100, metric.target)
        return {uid: requested[uid] * share // 100 for uid in verdict.missing}
    return dict.fromkeys(verdict.missing, metric.target)


def _second_look(policy: Policy, current: int, measured: Average, filled: Average) -> Outcome:
    """Return whether the average with assumed values still calls for the same direction."""
    before, after = measured.ratio, filled.ratio
    if _within(policy, after):
        return Outcome.WITHIN_TOLERANCE
    proposal = _up(filled)
    turns = (before < 1 < after) or (after < 1 < before)
    # More replicas were averaged than there are wanted, or fewer.
    overshoots = (after < 1 and proposal > current) or (after > 1 and proposal < current)
    return Outcome.WOULD_TURN if turns or overshoots else Outcome.PROPOSED


def _within(policy: Policy, ratio: Fraction) -> bool:
    return 1 - policy.down.tolerance <= ratio <= 1 + policy.up.tolerance


def _up(average: Average) -> int:
    return math.ceil(average.ratio * average.replicas)


def _uids(replicas: Sequence[ReplicaLoad]) -> tuple[str, ...]:
    return tuple(replica.uid for replica in replicas)

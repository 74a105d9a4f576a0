"""What a HorizontalPodAutoscaler's manifest means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.core.autoscaling import schedule
from orchestrator.core.autoscaling.policy import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Metric,
    PacePolicy,
    Policy,
    PolicyKind,
    Rules,
    Select,
    Source,
    TargetKind,
)
from orchestrator.manifests import quantities
from orchestrator.manifests.autoscaling import name_of, schedule_lines

Json = dict[str, Any]


def policy_of(full: Json) -> Policy:
    """Return what a completed manifest asks for."""
    spec = full["spec"]
    behavior = spec["behavior"]
    annotations = full["metadata"].get("annotations") or {}
    return Policy(
        minimum=spec["minReplicas"],
        maximum=spec["maxReplicas"],
        metrics=tuple(_metric(metric) for metric in spec["metrics"]),
        up=_rules(behavior["scaleUp"], DEFAULT_UP),
        down=_rules(behavior["scaleDown"], DEFAULT_DOWN),
        schedule=tuple(schedule.parse(line) for line in schedule_lines(annotations)),
    )


def target_of(full: Json) -> str:
    """Return the name of the deployment whose number of replicas it owns."""
    return str(full["spec"]["scaleTargetRef"]["name"])


def _metric(metric: Mapping[str, Any]) -> Metric:
    source = Source(name_of(metric))
    target = metric["resource" if source.is_resource else "pods"]["target"]
    kind = TargetKind(target["type"])
    if kind is TargetKind.UTILIZATION:
        return Metric(source=source, target_kind=kind, target=target["averageUtilization"])
    # Memory is counted in bytes, everything else in thousandths.
    unit = 1 if source is Source.MEMORY else 1000
    value = quantities.parse(target["averageValue"]) * unit
    return Metric(source=source, target_kind=kind, target=-(-value.numerator // value.denominator))


def _rules(written: Mapping[str, Any], usual: Rules) -> Rules:
    policies = tuple(
        PacePolicy(
            kind=PolicyKind(policy["type"]),
            value=policy["value"],
            period_seconds=policy["periodSeconds"],
        )
        for policy in written.get("policies") or ()
    )
    return Rules(
        window_seconds=written["stabilizationWindowSeconds"],
        select=Select(written["selectPolicy"]),
        policies=policies or usual.policies,
        tolerance=quantities.parse(written["tolerance"]),
    )

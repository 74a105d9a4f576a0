"""Plain builders for what an autoscaler looks at; a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from orchestrator.core.autoscaling.observation import (
    Observation,
    Recommendation,
    ReplicaLoad,
    Resize,
    Sample,
)
from orchestrator.core.autoscaling.policy import (
    DEFAULT_DOWN,
    DEFAULT_UP,
    Metric,
    PacePolicy,
    Policy,
    PolicyKind,
    Source,
    TargetKind,
)
from tests.factories import HOUR_AGO, NOW

WINDOW = timedelta(seconds=15)
REQUEST = {Source.CPU: 100, Source.MEMORY: 100 << 20}


def cpu(percent=50):
    """Return the metric: so much cpu of what is requested."""
    return Metric(source=Source.CPU, target_kind=TargetKind.UTILIZATION, target=percent)


def value_of(source, target):
    """Return the metric: so much on average, as a plain value."""
    return Metric(source=source, target_kind=TargetKind.AVERAGE_VALUE, target=target)


def a_policy(*metrics, minimum=1, maximum=100, **fields):
    """Return a policy without windows; by default 50 % of cpu."""
    fields.setdefault("down", replace(DEFAULT_DOWN, window_seconds=0))
    return Policy(minimum=minimum, maximum=maximum, metrics=metrics or (cpu(),), **fields)


def unhurried(rules=DEFAULT_UP, **fields):
    """Return rules that let any change happen at once."""
    free = PacePolicy(kind=PolicyKind.PERCENT, value=100_000, period_seconds=15)
    return replace(rules, window_seconds=0, policies=(free,), **fields)


def sample(value, at=NOW):
    """Return a value measured until now."""
    return Sample(value=value, at=at, window=WINDOW)


def a_load(uid="a", used=None, *, source=Source.CPU, **fields):
    """Return a replica that has been ready for an hour and uses so much (None: no value)."""
    fields.setdefault("started_at", HOUR_AGO)
    fields.setdefault("readiness_changed_at", HOUR_AGO)
    fields.setdefault("requested", REQUEST)
    samples = {} if used is None else {source: sample(used)}
    return ReplicaLoad(uid=uid, samples=samples, **fields)


def loads(*used, missing=0, unready=0, source=Source.CPU):
    """Return replicas: those with a value, those without one, those not ready yet."""
    return (
        *(a_load(f"r{i}", value, source=source) for i, value in enumerate(used)),
        *(a_load(f"m{i}") for i in range(missing)),
        *(a_load(f"u{i}", pending=True, ready=False) for i in range(unready)),
    )


def seen(replicas=(), current=None, **fields):
    """Return an observation; as many replicas are wanted as there are unless told otherwise."""
    wanted = len(replicas) if current is None else current
    return Observation(now=NOW, current=wanted, replicas=replicas, **fields)


def recommended(*pairs):
    """Return recommendations from (seconds ago, replicas)."""
    return tuple(
        Recommendation(at=NOW - timedelta(seconds=ago), replicas=replicas)
        for ago, replicas in pairs
    )


def resized(*pairs):
    """Return changes of size from (seconds ago, change)."""
    return tuple(Resize(at=NOW - timedelta(seconds=ago), change=change) for ago, change in pairs)

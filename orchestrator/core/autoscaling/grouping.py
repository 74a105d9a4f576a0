"""Which replicas count for a metric: Kubernetes' `groupPods`, and who is left out of a rollout.

Every replica is in exactly one group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.autoscaling.observation import Observation, ReplicaLoad, Sample
from orchestrator.core.autoscaling.policy import Source

# Kubernetes' --horizontal-pod-autoscaler-cpu-initialization-period and
# --horizontal-pod-autoscaler-initial-readiness-delay.
CPU_INITIALISATION = timedelta(minutes=5)
INITIAL_READINESS = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """The replicas of one metric: those that count, those that cannot yet, those without value."""

    ready: tuple[ReplicaLoad, ...]
    unready: tuple[ReplicaLoad, ...]
    missing: tuple[ReplicaLoad, ...]
    leaving: tuple[ReplicaLoad, ...]


def group(replicas: Sequence[ReplicaLoad], source: Source, now: datetime) -> Groups:
    """Return who counts for a metric at this moment."""
    found: dict[str, list[ReplicaLoad]] = {"ready": [], "unready": [], "missing": [], "leaving": []}
    for replica in replicas:
        found[_group_of(replica, source, now)].append(replica)
    return Groups(**{name: tuple(members) for name, members in found.items()})


def counted(observation: Observation) -> tuple[ReplicaLoad, ...]:
    """Return the replicas to measure: during a rollout, no more than are wanted.

    The surge of a rollout takes no share of the load yet, or takes it twice; it would bend the
    average. Those that serve are kept first, then those that have run longest.
    """
    if not observation.rolling_out:
        return observation.replicas
    staying = [replica for replica in observation.replicas if not replica.leaving]
    latest = observation.now
    staying.sort(key=lambda r: (not r.ready, r.pending, r.started_at or latest, r.uid))
    return tuple(staying[: observation.current])


def _group_of(replica: ReplicaLoad, source: Source, now: datetime) -> str:
    if replica.leaving:
        return "leaving"
    if replica.pending:
        return "unready"
    sample = replica.samples.get(source)
    if sample is None:
        return "missing"
    if source is Source.CPU and _starts_up(replica, sample, now):
        return "unready"
    return "ready"


def _starts_up(replica: ReplicaLoad, sample: Sample, now: datetime) -> bool:
    """Tell whether what it uses of cpu is still that of a start."""
    changed_at, started_at = replica.readiness_changed_at, replica.started_at
    if changed_at is None or started_at is None:
        return True
    if started_at + CPU_INITIALISATION > now:
        return not replica.ready or sample.at < changed_at + sample.window
    # It has run for long: what counts is whether it ever was ready.
    return not replica.ready and started_at + INITIAL_READINESS > changed_at

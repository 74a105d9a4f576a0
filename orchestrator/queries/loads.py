"""What autoscalers look at: rows and measurements to `core.autoscaling` observations.

A replica's value is its mean over the latest seconds; one that nobody measured lately has none.
Replicas on lost nodes are left out, as the planner leaves them out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Min

from orchestrator.core import samples
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
from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase
from orchestrator.manifests import autoscaler as meaning
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Autoscaler, Deployment, Replica, ScalingDecision
from orchestrator.queries import looks, routed_requests, sleepers
from orchestrator.queries.looks import WINDOW
from orchestrator.queries.routed_requests import Routed
from orchestrator.queries.sleepers import DECLARED, Awaited

_FIELDS = {Source.CPU: 0, Source.MEMORY: 1}
_REQUESTS = {Source.CPU: "cpu_request_millis", Source.MEMORY: "memory_request_bytes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One autoscaler and what it sees: nothing while its deployment does not exist.

    `latest` is when it last came to a decision, and with which word.
    """

    pk: int
    policy: Policy
    deployment: int | None
    observation: Observation | None
    latest: tuple[datetime, str] | None


def observe(now: datetime, *, only_asleep: bool = False) -> list[Watched]:
    """Return every autoscaler, or those of who is asleep, with what each sees.

    8 queries at most, 3 more with requests, and 4 more where somebody may sleep.
    """
    wanted = Autoscaler.objects.filter(may_sleep=True) if only_asleep else Autoscaler.objects
    rows = list(wanted.order_by("pk"))
    targets = _targets(rows) if rows else {}
    if only_asleep:
        rows = [row for row in rows if row.pk in targets and _is_asleep(targets[row.pk])]
        targets = {row.pk: targets[row.pk] for row in rows}
    if not rows:
        return []
    past = _Past.of(rows, now)
    policies = {row.pk: meaning.policy_of(manifests.with_defaults(row.manifest)) for row in rows}
    asked = any(not m.source.is_resource for p in policies.values() for m in p.metrics)
    seen = _Seen.of([target.pk for target in targets.values()], now, requests_too=asked)
    drowsy = [targets[row.pk].pk for row in rows if row.may_sleep and row.pk in targets]
    awaited = defaultdict(Awaited, sleepers.look(drowsy))
    return [
        Watched(
            pk=row.pk,
            policy=policies[row.pk],
            deployment=target.pk if (target := targets.get(row.pk)) is not None else None,
            observation=_observation(row, target, past, seen, awaited),
            latest=past.latest.get(row.pk),
        )
        for row in rows
    ]


def _observation(
    row: Autoscaler,
    target: Deployment | None,
    past: _Past,
    seen: _Seen,
    awaited: Mapping[int, Awaited],
) -> Observation | None:
    if target is None:
        return None
    loads = tuple(seen.loads.get(target.pk, ()))
    return Observation(
        now=seen.now,
        current=target.replicas,
        replicas=loads,
        rolling_out=any(_is_outdated(r, target) for r in seen.replicas.get(target.pk, ())),
        recommendations=past.recommendations(row.pk, target.replicas, seen.now),
        resizes=past.resizes(row.pk),
        silent=seen.routed.silent([load.uid for load in loads]),
        asleep=_is_asleep(target),
        waiting=awaited[target.pk].waiting,
        unwatched=awaited[target.pk].unwatched,
    )


def _is_asleep(target: Any) -> bool:
    """Tell whether there is no replica because of an autoscaler, not of the manifest."""
    return bool(target.replicas == target.autoscaled == 0 and target.declared != 0)


def _targets(rows: Iterable[Autoscaler]) -> dict[int, Deployment]:
    """Return the deployment of each autoscaler that has one."""
    wanted = {(row.namespace_id, row.target): row.pk for row in rows}
    rows_of = Deployment.objects.filter(name__in={name for _, name in wanted}, deleting=False)
    found = rows_of.defer("manifest", "message").annotate(declared=DECLARED)
    return {wanted[key]: row for row in found if (key := (row.namespace_id, row.name)) in wanted}


def _replicas(deployments: Sequence[int]) -> list[Replica]:
    rows = Replica.objects.filter(deployment__in=deployments).exclude(phase__in=GONE_PHASES)
    rows = rows.exclude(node__state=NodeState.LOST).select_related("revision")
    return list(
        rows.only(
            *("uid", "deployment_id", "node_id", "phase", "ready", "readiness_changed_at"),
            *("started_at", "resources", "revision__number"),
        ).order_by("pk")
    )


def _is_outdated(replica: Replica, target: Deployment) -> bool:
    is_live = ReplicaPhase(replica.phase).is_live
    return is_live and replica.revision.number != target.revision


def _load(replica: Replica, measured: Mapping[Source, Sample]) -> ReplicaLoad:
    phase = ReplicaPhase(replica.phase)
    return ReplicaLoad(
        uid=replica.uid,
        pending=phase < ReplicaPhase.RUNNING,
        leaving=not phase.is_live,
        ready=replica.ready,
        started_at=replica.started_at,
        readiness_changed_at=replica.readiness_changed_at,
        requested={
            source: int(replica.resources.get(name) or 0) for source, name in _REQUESTS.items()
        },
        samples=measured,
    )


def _values(
    replicas: Sequence[Replica], blocks: Iterable[tuple[str, datetime, samples.Block]]
) -> dict[str, dict[Source, Sample]]:
    """Return the latest values of replicas, by uid and source."""
    wanted = {replica.uid for replica in replicas}
    found: dict[str, list[samples.Sample]] = defaultdict(list)
    told_at: dict[str, datetime] = {}
    for _, at, block in blocks:
        for uid, (_, sample) in samples.replicas_of(block).items():
            if uid in wanted:
                found[uid].append(sample)
                told_at[uid] = at
    return {uid: _means(each, told_at[uid]) for uid, each in found.items()}


def _means(each: Sequence[samples.Sample], at: datetime) -> dict[Source, Sample]:
    mean = samples.mean(each)
    return {
        source: Sample(value=value, at=at, window=WINDOW)
        for source, index in _FIELDS.items()
        if (value := mean[index]) is not None
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The replicas of all deployments that are watched, and their loads, by deployment."""

    now: datetime
    replicas: Mapping[int, Sequence[Replica]]
    loads: Mapping[int, Sequence[ReplicaLoad]]
    routed: Routed

    @classmethod
    def of(cls, deployments: Sequence[int], now: datetime, *, requests_too: bool) -> _Seen:
        """Load them; requests only where somebody asks for them."""
        rows = _replicas(deployments)
        seen = looks.latest(deployments, now)
        values = _values(rows, seen.blocks)
        nobody = routed_requests.NOBODY_ASKED
        routed = routed_requests.latest(rows, seen) if requests_too else nobody
        replicas: dict[int, list[Replica]] = defaultdict(list)
        loads: dict[int, list[ReplicaLoad]] = defaultdict(list)
        for row in rows:
            measured = {**values.get(row.uid, {}), **routed.of(row.uid)}
            replicas[row.deployment_id].append(row)
            loads[row.deployment_id].append(_load(row, measured))
        return cls(now=now, replicas=replicas, loads=loads, routed=routed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Past:
    """What autoscalers decided before, by their keys."""

    decided: Mapping[int, Sequence[ScalingDecision]]
    first: Mapping[int, int]
    latest: Mapping[int, tuple[datetime, str]]

    @classmethod
    def of(cls, rows: Iterable[Autoscaler], now: datetime) -> _Past:
        """Load what still counts: the longest window and period there can be."""
        longest = timedelta(seconds=max(LONGEST_WINDOW_SECONDS, LONGEST_PERIOD_SECONDS))
        keys = [row.pk for row in rows]
        known = ScalingDecision.objects.filter(autoscaler__in=keys, at__gt=now - longest)
        decided: dict[int, list[ScalingDecision]] = defaultdict(list)
        for row in known.defer("detail", "message").order_by("at", "pk"):
            decided[row.autoscaler_id].append(row)
        every = ScalingDecision.objects.filter(autoscaler__in=keys).order_by()
        first = dict(every.values_list("autoscaler").annotate(Min("pk")))
        latest = {key: (rows[-1].at, rows[-1].word) for key, rows in decided.items()}
        return cls(decided=decided, first=first, latest=latest)

    def recommendations(self, key: int, current: int, now: datetime) -> tuple[Recommendation, ...]:
        """Return what was proposed; what there was at the beginning counts as such, too."""
        rows = self.decided.get(key, ())
        begun = [row for row in rows if row.pk == self.first.get(key)]
        beginnings = [(row.at, row.current) for row in begun]
        if key not in self.first:
            beginnings = [(now, current)]
        made = [(row.at, row.proposed) for row in rows if row.proposed is not None]
        return tuple(Recommendation(at=at, replicas=n) for at, n in [*beginnings, *made])

    def resizes(self, key: int) -> tuple[Resize, ...]:
        """Return the changes of the number that it made."""
        rows = self.decided.get(key, ())
        return tuple(
            Resize(at=row.at, change=row.desired - row.current)
            for row in rows
            if row.desired != row.current
        )

"""What /metrics tells, in a fixed number of queries: sums by state, ages, latest use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from orchestrator.core import requests, samples
from orchestrator.core.requests import Served
from orchestrator.core.samples import FIELDS
from orchestrator.models import (
    OPEN_STATES,
    Autoscaler,
    Deployment,
    Job,
    MetricBlock,
    Node,
    Replica,
)
from orchestrator.queries.looks import FRESH

Name = tuple[str, str]
Used = Mapping[str, int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentFigures:
    """The counts of one deployment, and what its replicas use now."""

    name: Name
    counts: Mapping[str, int]
    phase: str
    rollout: str
    used: Used


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFigures:
    """How many jobs are in one state, and how old the oldest of them is."""

    operation: str
    state: str
    number: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything that the database knows."""

    deployments: list[DeploymentFigures]
    jobs: list[JobFigures]
    nodes: Mapping[str, tuple[str, Used]]
    replicas: Mapping[str, int]
    autoscalers: list[tuple[str, str, str, int, int]]
    services: Mapping[Name, Served]


def load(now: datetime) -> Figures:
    """Return the figures of this moment (6 queries)."""
    blocks = _latest_blocks(now)
    nodes, deployments = _used(blocks)
    rows = Deployment.objects.order_by("namespace_id", "name").defer("manifest", "message")
    states = dict(Node.objects.order_by("name").values_list("name", "state"))
    by_phase = Replica.objects.order_by().values_list("phase").annotate(Count("pk"))
    return Figures(
        deployments=[_deployment(row, deployments.get(row.pk, {})) for row in rows],
        jobs=_jobs(now),
        nodes={name: (state, nodes.get(name, {})) for name, state in states.items()},
        replicas=dict(by_phase),
        autoscalers=[
            (row.namespace_id, row.name, row.target, *_bounds(row.manifest))
            for row in Autoscaler.objects.order_by("namespace_id", "name")
        ],
        services=_services(blocks),
    )


def _bounds(manifest: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    spec = manifest["spec"]
    return spec.get("minReplicas") or 1, spec["maxReplicas"]


def _deployment(row: Deployment, used: Used) -> DeploymentFigures:
    return DeploymentFigures(
        name=(row.namespace_id, row.name),
        counts={
            "desired": row.replicas,
            "live": row.live_replicas,
            "updated": row.updated_replicas,
            "ready": row.ready_replicas,
            "available": row.available_replicas,
        },
        phase=row.phase,
        rollout=row.rollout_state,
        used=used,
    )


def _jobs(now: datetime) -> list[JobFigures]:
    rows = Job.objects.filter(state__in=OPEN_STATES).order_by()
    counted = rows.values_list("operation", "state").annotate(Count("pk"), Min("created_at"))
    return [
        JobFigures(
            operation=operation,
            state=state,
            number=number,
            oldest_seconds=max(0.0, (now - begun).total_seconds()),
        )
        for operation, state, number, begun in counted
    ]


def _latest_blocks(now: datetime) -> dict[str, samples.Block]:
    """Return the latest block of each node that spoke lately."""
    rows = MetricBlock.objects.filter(seconds=0, at__gt=now - FRESH).order_by("at")
    return dict(rows.values_list("node", "samples"))


def _services(blocks: Mapping[str, samples.Block]) -> dict[Name, Served]:
    """Return the requests for services, all gateways together."""
    found: dict[str, list[Served]] = {}
    for block in blocks.values():
        for name, served in requests.services_of(block).items():
            found.setdefault(name, []).append(served)
    totals = {name: requests.total(every) for name, every in sorted(found.items())}
    return {
        (name.partition("/")[0], name.partition("/")[2]): served
        for name, served in totals.items()
        if served is not None
    }


def _used(latest: Mapping[str, samples.Block]) -> tuple[dict[str, Used], dict[int, Used]]:
    """Return what nodes and deployments use."""
    by_owner: dict[int, list[samples.Sample]] = {}
    for block in latest.values():
        for owner, sample in samples.replicas_of(block).values():
            by_owner.setdefault(owner, []).append(sample)
    nodes = {name: _named(samples.node_of(block)) for name, block in latest.items()}
    return nodes, {owner: _named(samples.total(every)) for owner, every in by_owner.items()}


def _named(sample: samples.Sample) -> Used:
    return dict(zip(FIELDS, sample, strict=False))

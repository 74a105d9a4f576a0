"""Rows of revisions and replicas as the planner sees them; what was read once is kept as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery, TextField
from django.db.models.functions import Cast

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.rotation import Standing
from orchestrator.core.snapshot import ReplicaView, RevisionView
from orchestrator.core.spec import Amounts, DeploymentSpec, Resources
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests import placing
from orchestrator.models import Endpoint, Replica


def reserved_for(replica: Any) -> Amounts:
    """Return what a node keeps free for a replica."""
    return Amounts(
        cpu_millis=replica.cpu_millis_requested, memory_bytes=replica.memory_bytes_requested
    )


def resources_from(stored: Mapping[str, Any]) -> Resources:
    """Read resources as a replica row keeps them."""
    return Resources(**stored)


@lru_cache(maxsize=4096)
def _resources_of(text: str) -> Resources:
    return resources_from(json.loads(text))


@lru_cache(maxsize=4096)
def _failures_of(text: str) -> tuple[datetime, ...]:
    return tuple(datetime.fromtimestamp(at, tz=UTC) for at in json.loads(text))


def moment_of(text: str) -> datetime:
    """Read a moment that was selected as text: Django's own way costs ten times as much."""
    read = datetime.fromisoformat(text)
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _amounts(cpu_millis: int, memory_bytes: int) -> Amounts:
    return Amounts(cpu_millis=cpu_millis, memory_bytes=memory_bytes)


def as_text(stored: Any) -> str:
    """Return stored JSON as the text that the functions below take."""
    return json.dumps(stored)


@lru_cache(maxsize=4096)
def spec_of(manifest: str, replicas: int) -> DeploymentSpec:
    """Return what the planner needs of a manifest: most passes find it as the one before did."""
    return manifests.spec_of(manifests.with_defaults(json.loads(manifest)), replicas=replicas)


@lru_cache(maxsize=4096)
def _asked_by_template(text: str) -> Mapping[str, Any]:
    """Return what the planner needs of a template, by the names of `RevisionView`."""
    template = json.loads(text)
    return {
        "resources": manifests.resources_of(template),
        "runtime_class": manifests.runtime_class_of(template),
        "node_selector": manifests.node_selector_of(template),
        "labels": manifests.labels_of(template),
        "rules": placing.rules_of(template),
        "image": manifests.image_of(template),
    }


def revision_view(revision: Any, template: str) -> RevisionView:
    """Return a revision, given its row and its template as text."""
    return RevisionView(
        number=revision.number,
        desired=revision.desired,
        **_asked_by_template(template),
        completed=revision.completed_at is not None,
        is_rollback=revision.is_rollback,
        created_at=revision.created_at,
    )


_PHASES = {phase.value: phase for phase in ReplicaPhase}
_SEEN_OF_REPLICA = (
    "deployment_id",
    "revision_id",
    "uid",
    "slot",
    "node_id",
    "phase",
    "ready",
    "ready_text",
    "restarts",
    "deletion_cost",
    "resources_text",
    "cpu_millis_requested",
    "memory_bytes_requested",
    "update_failed",
    "waiting",
    "withdrawn_at",
    "withdrawn_for",
    "failures_text",
    "replaces",
    "moves",
    "created_text",
    "routed",
    "routes_generation",
)


def with_routes(rows: QuerySet[Replica]) -> Iterable[Any]:
    """Return what a snapshot has of each replica, with what gateways are told of it."""
    told = Endpoint.objects.filter(replica_uid=OuterRef("uid"))
    annotated = rows.annotate(
        routed=Exists(told.filter(standing=Standing.SERVING)),
        routes_generation=Subquery(told.order_by("-generation").values("generation")[:1]),
        # As text, which is read here: the usual way would be most of the work.
        resources_text=Cast("resources", TextField()),
        failures_text=Cast("failures", TextField()),
        ready_text=Cast("ready_at", TextField()),
        created_text=Cast("created_at", TextField()),
    )
    return annotated.values_list(*_SEEN_OF_REPLICA, named=True)


def replica_views(rows: Iterable[Any], numbers: Mapping[int, int]) -> tuple[ReplicaView, ...]:
    """Return what `with_routes` found; `numbers` are those of revisions by their keys."""
    views = (
        ReplicaView(
            uid=row.uid,
            revision=numbers[row.revision_id],
            slot=row.slot,
            node=row.node_id,
            phase=_PHASES[row.phase],
            ready=row.ready,
            ready_at=moment_of(row.ready_text) if row.ready_text else None,
            restarts=row.restarts,
            deletion_cost=row.deletion_cost,
            resources=_resources_of(row.resources_text),
            reserved=_amounts(row.cpu_millis_requested, row.memory_bytes_requested),
            update_failed=row.update_failed,
            waiting=row.waiting,
            routed=row.routed,
            routes_generation=row.routes_generation or 0,
            withdrawn_at=row.withdrawn_at,
            withdrawn_for=row.withdrawn_for,
            failures=_failures_of(row.failures_text),
            replaces=row.replaces,
            moves=row.moves,
            created_at=moment_of(row.created_text),
        )
        for row in rows
    )
    return tuple(sorted(views, key=lambda view: (view.revision, view.slot, view.uid)))

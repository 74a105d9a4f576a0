"""Rows of revisions and replicas as the planner sees them; what was read once is kept as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.rotation import Standing
from orchestrator.core.snapshot import ReplicaView, RevisionView
from orchestrator.core.spec import Amounts, DeploymentSpec, Resources
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests import placing
from orchestrator.models import Endpoint, Replica, Revision


def reserved_for(replica: Any) -> Amounts:
    """Return what a node keeps free for a replica."""
    return Amounts(
        cpu_millis=replica.cpu_millis_requested, memory_bytes=replica.memory_bytes_requested
    )


def resources_from(stored: Mapping[str, Any]) -> Resources:
    """Read resources as a replica row keeps them."""
    return Resources(**stored)


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


def revision_view(revision: Revision, template: str) -> RevisionView:
    """Return a revision, given its template as text."""
    return RevisionView(
        number=revision.number,
        desired=revision.desired,
        **_asked_by_template(template),
        completed=revision.completed_at is not None,
        is_rollback=revision.is_rollback,
        created_at=revision.created_at,
    )


_SEEN_OF_REPLICA = (
    "deployment_id",
    "revision_id",
    "uid",
    "slot",
    "node_id",
    "phase",
    "ready",
    "ready_at",
    "restarts",
    "deletion_cost",
    "resources",
    "cpu_millis_requested",
    "memory_bytes_requested",
    "update_failed",
    "waiting",
    "withdrawn_at",
    "withdrawn_for",
    "failures",
    "replaces",
    "moves",
    "created_at",
    "routed",
    "routes_generation",
)


def with_routes(rows: QuerySet[Replica]) -> Iterable[Any]:
    """Return what a snapshot has of each replica, with what gateways are told of it."""
    told = Endpoint.objects.filter(replica_uid=OuterRef("uid"))
    annotated = rows.annotate(
        routed=Exists(told.filter(standing=Standing.SERVING)),
        routes_generation=Subquery(told.order_by("-generation").values("generation")[:1]),
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
            phase=ReplicaPhase(row.phase),
            ready=row.ready,
            ready_at=row.ready_at,
            restarts=row.restarts,
            deletion_cost=row.deletion_cost,
            resources=resources_from(row.resources),
            reserved=reserved_for(row),
            update_failed=row.update_failed,
            waiting=row.waiting,
            routed=row.routed,
            routes_generation=row.routes_generation or 0,
            withdrawn_at=row.withdrawn_at,
            withdrawn_for=row.withdrawn_for,
            failures=tuple(datetime.fromtimestamp(at, tz=UTC) for at in row.failures),
            replaces=row.replaces,
            moves=row.moves,
            created_at=row.created_at,
        )
        for row in rows
    )
    return tuple(sorted(views, key=lambda view: (view.revision, view.slot, view.uid)))

"""Read models of deployments and their revisions, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from orchestrator.manifests import deployment as manifests
from orchestrator.models import Deployment, Namespace, Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord:
    """One deployment as people and scripts read it."""

    namespace: str
    name: str
    generation: int
    observed_generation: int
    spec: dict[str, Any]
    labels: dict[str, str]
    phase: str
    message: str
    desired: int
    replicas: int
    ready: int
    available: int
    updated: int
    revision: int
    paused: bool
    deleting: bool
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRecord:
    """One revision; `diff` is against the revision before it, as YAML."""

    number: int
    image: str
    author: str
    reason: str
    is_rollback: bool
    current: bool
    desired: int
    created_at: datetime
    completed_at: datetime | None
    failed_at: datetime | None
    template: dict[str, Any]
    diff: str


def select(
    *, namespace: str = "", name: str = "", phase: str = "", search: str = ""
) -> QuerySet[Deployment]:
    """Return the deployments that match, by namespace and name."""
    rows = Deployment.objects.order_by("namespace_id", "name")
    if namespace:
        rows = rows.filter(namespace_id=namespace)
    if name:
        rows = rows.filter(name=name)
    if phase:
        rows = rows.filter(phase=phase)
    if search:
        rows = rows.filter(name__contains=search)
    return rows


def records(rows: Iterable[Deployment]) -> list[DeploymentRecord]:
    """Return the read models of rows."""
    return [record(row) for row in rows]


def record(row: Deployment) -> DeploymentRecord:
    """Return the read model of one row."""
    full = manifests.with_defaults(row.manifest)
    return DeploymentRecord(
        namespace=row.namespace_id,
        name=row.name,
        generation=row.generation,
        observed_generation=row.observed_generation,
        spec=full["spec"],
        labels=full["metadata"].get("labels") or {},
        phase=row.phase,
        message=row.message,
        desired=row.replicas,
        replicas=row.live_replicas,
        ready=row.ready_replicas,
        available=row.available_replicas,
        updated=row.updated_replicas,
        revision=row.revision,
        paused=row.paused,
        deleting=row.deleting,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def get(namespace: str, name: str) -> DeploymentRecord | None:
    """Return one deployment, or None."""
    row = select(namespace=namespace, name=name).first()
    return record(row) if row is not None else None


def manifest_of(namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
    """Return the manifest as it was written, or with every default."""
    row = select(namespace=namespace, name=name).first()
    if row is None:
        return None
    manifest: dict[str, Any] = row.manifest
    return manifest if written else manifests.with_defaults(manifest)


def revisions(namespace: str, name: str) -> list[RevisionRecord] | None:
    """Return every revision, newest first, or None when there is no such deployment."""
    row = select(namespace=namespace, name=name).first()
    if row is None:
        return None
    rows = list(row.revisions.order_by("number"))
    before: list[Revision | None] = [None, *rows[:-1]]
    found = [
        RevisionRecord(
            number=revision.number,
            image=manifests.image_of(revision.template),
            author=revision.author,
            reason=revision.reason,
            is_rollback=revision.is_rollback,
            current=revision.number == row.revision,
            desired=revision.desired,
            created_at=revision.created_at,
            completed_at=revision.completed_at,
            failed_at=revision.failed_at,
            template=revision.template,
            diff=manifests.diff_lines(earlier.template, revision.template) if earlier else "",
        )
        for earlier, revision in zip(before, rows, strict=True)
    ]
    return found[::-1]


def namespaces() -> QuerySet[Namespace]:
    """Return every namespace."""
    return Namespace.objects.order_by("name")

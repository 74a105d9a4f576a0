"""Read models of deployments and their revisions, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.fields.json import KeyTransform

from orchestrator.core.spec import DeploymentSpec
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Deployment, Revision
from orchestrator.queries.rows import Rows

_LOOKUPS = {"namespace": "namespace_id", "phase": "phase", "search": "name__icontains"}
NO_LABELS: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentRecord:
    """One deployment as people and scripts read it.

    `desired`, and `replicas` in `spec`, are the number in force; `scaled_by` is the autoscaler that
    owns it (empty: the manifest does), and `declared` what the manifest says.
    """

    namespace: str
    name: str
    generation: int
    observed_generation: int
    spec: dict[str, Any]
    intent: DeploymentSpec
    labels: dict[str, str]
    phase: str
    message: str
    desired: int
    declared: int | None
    scaled_by: str
    replicas: int
    ready: int
    available: int
    updated: int
    revision: int
    image: str
    rollout_state: str
    progressed_at: datetime
    paused: bool
    deleting: bool
    created_at: datetime
    changed_at: datetime

    @property
    def is_asleep(self) -> bool:
        """Tell whether there is no replica because its autoscaler lets it have none."""
        return bool(self.scaled_by) and self.desired == 0 and self.declared != 0


@dataclass(frozen=True, kw_only=True)
class RevisionRecord:
    """One revision; `earlier` is the template of the one before it, None for the first."""

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
    earlier: dict[str, Any] | None

    @cached_property
    def diff(self) -> str:
        """Return what changed against the revision before, as YAML; made when it is asked for."""
        if self.earlier is None:
            return ""
        return manifests.diff_of_templates(self.earlier, self.template)


def select(
    wanted: Mapping[str, str], labels: Mapping[str, str] = NO_LABELS
) -> Rows[DeploymentRecord]:
    """Return the deployments that match, by namespace and name; `search` is part of a name."""
    rows = matching(wanted)
    for index, (key, value) in enumerate(labels.items()):
        # A path of transforms, since a label's key may hold dots and double underscores.
        kept = KeyTransform("labels", KeyTransform("metadata", "manifest"))
        rows = rows.alias(**{f"label{index}": KeyTransform(key, kept)})
        rows = rows.filter(**{f"label{index}": value})
    return Rows(rows, record)


def get(namespace: str, name: str) -> DeploymentRecord | None:
    """Return one deployment, or None."""
    row = _find(namespace, name)
    return record(row) if row is not None else None


def exists(namespace: str, name: str) -> bool:
    """Tell whether there is such a deployment."""
    return Deployment.objects.filter(namespace_id=namespace, name=name).exists()


def matching(wanted: Mapping[str, str]) -> QuerySet[Deployment]:
    """Return the rows that match, by namespace and name."""
    filters = {_LOOKUPS[key]: value for key, value in wanted.items() if value}
    return Deployment.objects.filter(**filters).order_by("namespace_id", "name")


def record(row: Deployment) -> DeploymentRecord:
    """Return the read model of a row."""
    full = manifests.with_defaults(row.manifest)
    return DeploymentRecord(
        namespace=row.namespace_id,
        name=row.name,
        generation=row.generation,
        observed_generation=row.observed_generation,
        spec={**full["spec"], "replicas": row.replicas},
        intent=manifests.spec_of(full, replicas=row.replicas),
        labels=full["metadata"].get("labels") or {},
        phase=row.phase,
        message=row.message,
        desired=row.replicas,
        declared=manifests.declared_replicas(row.manifest),
        scaled_by=row.scaled_by,
        replicas=row.live_replicas,
        ready=row.ready_replicas,
        available=row.available_replicas,
        updated=row.updated_replicas,
        revision=row.revision,
        image=manifests.image_of(full["spec"]["template"]),
        rollout_state=row.rollout_state,
        progressed_at=row.progressed_at,
        paused=row.paused,
        deleting=row.deleting,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def manifest_of(namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
    """Return the manifest as it was written, or with every default."""
    row = _find(namespace, name)
    if row is None:
        return None
    wanted = row.manifest if written else manifests.with_defaults(row.manifest)
    ordered: dict[str, Any] = manifests.in_order(wanted)
    return ordered


def revisions(namespace: str, name: str) -> list[RevisionRecord] | None:
    """Return every revision, newest first, or None when there is no such deployment."""
    every = Revision.objects.filter(deployment__namespace_id=namespace, deployment__name=name)
    current = F("deployment__revision")
    rows = list(every.annotate(current_number=current).order_by("number"))
    if not rows and _find(namespace, name) is None:
        return None
    before: list[Revision | None] = [None, *rows[:-1]]
    found = [
        RevisionRecord(
            number=revision.number,
            image=manifests.image_of(revision.template),
            author=revision.author,
            reason=revision.reason,
            is_rollback=revision.is_rollback,
            current=revision.number == revision.current_number,
            desired=revision.desired,
            created_at=revision.created_at,
            completed_at=revision.completed_at,
            failed_at=revision.failed_at,
            template=revision.template,
            earlier=earlier.template if earlier is not None else None,
        )
        for earlier, revision in zip(before, rows, strict=True)
    ]
    return found[::-1]


def _find(namespace: str, name: str) -> Deployment | None:
    return Deployment.objects.filter(namespace_id=namespace, name=name).first()

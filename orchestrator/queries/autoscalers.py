"""Read models of autoscalers and their decisions, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery

from orchestrator.core.autoscaling.policy import Policy
from orchestrator.core.autoscaling.sentences import target
from orchestrator.manifests import autoscaler as meaning
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.autoscaling import AUTOSCALER
from orchestrator.models import Autoscaler, Deployment, ScalingDecision
from orchestrator.queries.rows import Rows

_LOOKUPS = {"namespace": "namespace_id", "target": "target", "search": "name__icontains"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoscalerRecord:
    """One autoscaler, the number it owns, and its latest decision.

    `replicas` is None while there is no such deployment, `word` empty before the first decision.
    """

    namespace: str
    name: str
    target: str
    generation: int
    spec: dict[str, Any]
    policy: Policy
    targets: tuple[str, ...]
    minimum: int
    maximum: int
    replicas: int | None
    word: str
    message: str
    decided_at: datetime | None
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """One evaluation; `detail` has its inputs and arithmetic."""

    at: datetime
    current: int
    proposed: int | None
    desired: int
    word: str
    message: str
    detail: dict[str, Any]


def select(wanted: Mapping[str, str]) -> Rows[AutoscalerRecord]:
    """Return the autoscalers that match, by namespace and name."""
    filters = {_LOOKUPS[key]: value for key, value in wanted.items() if value}
    return Rows(_rows().filter(**filters).order_by("namespace_id", "name"), _record)


def get(namespace: str, name: str) -> AutoscalerRecord | None:
    """Return one autoscaler, or None."""
    row = _rows().filter(namespace_id=namespace, name=name).first()
    return _record(row) if row is not None else None


def manifest_of(namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
    """Return the manifest as it was written, or with every default."""
    row = Autoscaler.objects.filter(namespace_id=namespace, name=name).first()
    if row is None:
        return None
    wanted = row.manifest if written else manifests.with_defaults(row.manifest)
    ordered: dict[str, Any] = manifests.in_order(wanted, AUTOSCALER)
    return ordered


def decisions(namespace: str, name: str, *, changes: bool = False) -> Rows[DecisionRecord]:
    """Return what an autoscaler decided, newest first; with `changes` only what was done."""
    rows = ScalingDecision.objects.filter(
        autoscaler__namespace_id=namespace, autoscaler__name=name
    ).order_by("-at", "-pk")
    if changes:
        rows = rows.exclude(current=F("desired"))
    return Rows(rows, _decision)


def _rows() -> QuerySet[Autoscaler]:
    latest = ScalingDecision.objects.filter(autoscaler=OuterRef("pk")).order_by("-at", "-pk")
    scaled = Deployment.objects.filter(
        namespace_id=OuterRef("namespace_id"), name=OuterRef("target")
    )
    return Autoscaler.objects.annotate(
        replicas=Subquery(scaled.values("replicas")[:1]),
        word=Subquery(latest.values("word")[:1]),
        message=Subquery(latest.values("message")[:1]),
        decided_at=Subquery(latest.values("at")[:1]),
    )


def _record(row: Any) -> AutoscalerRecord:
    full = manifests.with_defaults(row.manifest)
    policy = meaning.policy_of(full)
    return AutoscalerRecord(
        namespace=row.namespace_id,
        name=row.name,
        target=row.target,
        generation=row.generation,
        spec=full["spec"],
        policy=policy,
        targets=tuple(target(metric) for metric in policy.metrics),
        minimum=policy.minimum,
        maximum=policy.maximum,
        replicas=row.replicas,
        word=row.word or "",
        message=row.message or "",
        decided_at=row.decided_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _decision(row: ScalingDecision) -> DecisionRecord:
    return DecisionRecord(
        at=row.at,
        current=row.current,
        proposed=row.proposed,
        desired=row.desired,
        word=row.word,
        message=row.message,
        detail=row.detail,
    )

"""Read models of nodes, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet

from orchestrator.core.lifecycle import GONE_PHASES
from orchestrator.models import Node
from orchestrator.queries.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One node as people and scripts read it; `replicas` are those it carries now."""

    name: str
    state: str
    cordoned: bool
    labels: dict[str, str]
    runtimes: tuple[str, ...]
    notes: tuple[str, ...]
    strangers: tuple[str, ...]
    cpu_millis: int
    memory_bytes: int
    replicas: int
    release: str
    address: str
    joined_at: datetime
    seen_at: datetime


def select() -> Rows[NodeRecord]:
    """Return every node, by name."""
    return Rows(_counted(), _record)


def get(name: str) -> NodeRecord | None:
    """Return one node, or None."""
    row = _counted().filter(name=name).first()
    return _record(row) if row is not None else None


def _counted() -> QuerySet[Node]:
    carried = Count("replica", filter=~Q(replica__phase__in=GONE_PHASES))
    return Node.objects.annotate(carried=carried).order_by("name")


def _record(row: Any) -> NodeRecord:
    return NodeRecord(
        name=row.name,
        state=row.state,
        cordoned=row.cordoned,
        labels=row.labels,
        runtimes=tuple(row.runtimes),
        notes=tuple(row.notes),
        strangers=tuple(row.strangers),
        cpu_millis=row.cpu_millis,
        memory_bytes=row.memory_bytes,
        replicas=row.carried,
        release=row.release,
        address=row.address,
        joined_at=row.joined_at,
        seen_at=row.seen_at,
    )

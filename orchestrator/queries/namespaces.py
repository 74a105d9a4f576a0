"""Read models of namespaces, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestrator.models import Namespace
from orchestrator.queries.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRecord:
    """One namespace; `deleting` means it goes with the last deployment in it.

    Replicas of an `open` one may be reached directly from every other.
    """

    name: str
    deleting: bool
    open: bool
    created_at: datetime


def select() -> Rows[NamespaceRecord]:
    """Return every namespace, by name."""
    return Rows(Namespace.objects.order_by("name"), _record)


def get(name: str) -> NamespaceRecord | None:
    """Return one namespace, or None."""
    row = Namespace.objects.filter(name=name).first()
    return _record(row) if row is not None else None


def _record(row: Namespace) -> NamespaceRecord:
    return NamespaceRecord(
        name=row.name, deleting=row.deleting, open=row.open, created_at=row.created_at
    )

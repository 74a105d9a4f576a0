"""Read models of replicas, nodes, jobs and events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q, QuerySet

from orchestrator.core.lifecycle import GONE_PHASES
from orchestrator.models import Event, Job, Node, Replica

_FILTERS: dict[type, dict[str, str]] = {
    Replica: {
        "namespace": "deployment__namespace_id",
        "deployment": "deployment__name",
        "node": "node_id",
        "phase": "phase",
    },
    Job: {
        "state": "state",
        "node": "node_id",
        "deployment": "deployment",
        "replica": "replica_uid",
    },
    Event: {
        "namespace": "namespace",
        "deployment": "deployment",
        "replica": "replica",
        "node": "node",
        "reason": "reason",
        "severity": "severity",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """Where the log of a replica is: on a live node, or what was kept of its latest death."""

    uid: str
    node: str
    is_live: bool
    kept: str
    died_at: datetime | None


def replicas(wanted: Mapping[str, str], *, everything: bool = False) -> QuerySet[Replica]:
    """Return replicas that match; gone ones only when everything (or a phase) is asked for."""
    rows = Replica.objects.select_related("deployment", "revision").defer("log_tail")
    if not everything and "phase" not in wanted:
        rows = rows.exclude(phase__in=GONE_PHASES)
    rows = rows.order_by(
        "deployment__namespace_id", "deployment__name", "-revision_id", "slot", "pk"
    )
    return _filtered(rows, Replica, wanted)


def nodes() -> QuerySet[Node]:
    """Return every node with the number of replicas it carries as `carried`."""
    carried = Count("replica", filter=~Q(replica__phase__in=GONE_PHASES))
    return Node.objects.annotate(carried=carried).order_by("name")


def jobs(wanted: Mapping[str, str]) -> QuerySet[Job]:
    """Return jobs that match, newest first."""
    return _filtered(Job.objects.defer("payload").order_by("-pk"), Job, wanted)


def events(wanted: Mapping[str, str], *, since: int = 0) -> QuerySet[Event]:
    """Return events that match, newest first; `since` leaves out ids up to it."""
    rows = _filtered(Event.objects.order_by("-pk"), Event, wanted)
    return rows.filter(pk__gt=since) if since else rows


def cause_chain(event: Event, *, longest: int = 20) -> list[Event]:
    """Return what caused an event, the nearest first."""
    chain: list[Event] = []
    while event.cause is not None and len(chain) < longest:
        event = event.cause
        chain.append(event)
    return chain


def log_source(uid: str) -> LogSource | None:
    """Return where to read the log of a replica, or None when there is no such replica."""
    row = Replica.objects.filter(uid=uid).first()
    if row is None:
        return None
    return LogSource(
        uid=row.uid,
        node=row.node_id or "",
        is_live=row.phase not in GONE_PHASES and row.node_id is not None,
        kept=row.log_tail,
        died_at=row.died_at,
    )


def _filtered(rows: QuerySet[Any], kind: type, wanted: Mapping[str, str]) -> QuerySet[Any]:
    lookups = _FILTERS[kind]
    return rows.filter(**{lookups[k]: v for k, v in wanted.items() if k in lookups and v})

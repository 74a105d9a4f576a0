"""Read models of replicas, and where their logs are, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from orchestrator.core.lifecycle import GONE_PHASES, LIVE_PHASES, ReplicaPhase
from orchestrator.models import Replica
from orchestrator.queries.rows import Rows

# What somebody should look at: no node takes it, it crashes, or a command or image is wrong.
TROUBLE = Q(phase=ReplicaPhase.PENDING) & ~Q(waiting="") | Q(
    phase__in=LIVE_PHASES, next_try_at__isnull=False
)
_LOOKUPS = {
    "namespace": "deployment__namespace_id",
    "deployment": "deployment__name",
    "node": "node_id",
    "phase": "phase",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaRecord:
    """One replica as people and scripts read it; `ports` are (container port, reachable port)."""

    uid: str
    namespace: str
    deployment: str
    revision: int
    slot: int
    node: str | None
    phase: str
    ready: bool
    reason: str
    message: str
    waiting: str
    note: str
    origin: str
    restarts: int
    next_try_at: datetime | None
    address: str
    ports: tuple[tuple[int, int], ...]
    container_id: str
    exit_code: int | None
    oom_killed: bool
    died_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSource:
    """Where the log of a replica is: on a live node, or what was kept of its latest death.

    `run` names the container; a restarted replica has another.
    """

    uid: str
    node: str
    run: str
    is_live: bool
    kept: str
    died_at: datetime | None


def select(wanted: Mapping[str, str], *, everything: bool = False) -> Rows[ReplicaRecord]:
    """Return replicas that match; gone ones only when everything (or a phase) is asked for."""
    rows = Replica.objects.select_related("deployment", "revision").defer(
        "log_tail", "deployment__manifest", "revision__template"
    )
    if not everything and not wanted.get("phase"):
        rows = rows.exclude(phase__in=GONE_PHASES)
    rows = rows.filter(**{_LOOKUPS[key]: value for key, value in wanted.items() if value})
    order = ("deployment__namespace_id", "deployment__name", "-revision__number", "slot", "pk")
    return Rows(rows.order_by(*order), _record)


def get(uid: str) -> ReplicaRecord | None:
    """Return one replica, also a gone one, or None."""
    rows = Replica.objects.select_related("deployment", "revision").defer("log_tail")
    row = rows.filter(uid=uid).first()
    return _record(row) if row is not None else None


def log_source(uid: str) -> LogSource | None:
    """Return where to read the log of a replica, or None when there is no such replica."""
    return next(iter(log_sources([uid])), None)


def log_sources(uids: Sequence[str]) -> list[LogSource]:
    """Return where to read the logs of replicas, in their order; unknown ones are left out."""
    rows = {row.uid: row for row in Replica.objects.filter(uid__in=uids)}
    return [
        LogSource(
            uid=row.uid,
            node=row.node_id or "",
            run=row.container_id,
            is_live=row.phase not in GONE_PHASES and row.node_id is not None,
            kept=row.log_tail,
            died_at=row.died_at,
        )
        for uid in uids
        if (row := rows.get(uid)) is not None
    ]


def _record(row: Replica) -> ReplicaRecord:
    return ReplicaRecord(
        uid=row.uid,
        namespace=row.deployment.namespace_id,
        deployment=row.deployment.name,
        revision=row.revision.number,
        slot=row.slot,
        node=row.node_id,
        phase=row.phase,
        ready=row.ready,
        reason=row.reason,
        message=row.message,
        waiting=row.waiting,
        note=row.note,
        origin=row.origin,
        restarts=row.restarts,
        next_try_at=row.next_try_at,
        address=row.address,
        ports=tuple((inside, outside) for inside, outside in row.ports),
        container_id=row.container_id,
        exit_code=row.exit_code,
        oom_killed=row.oom_killed,
        died_at=row.died_at,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )

"""Read models of jobs, in one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from orchestrator.models import UNCONFIRMED_STATES, Job, JobState
from orchestrator.queries.rows import Rows

STATES = tuple(JobState.values)
_LOOKUPS = {
    "state": "state",
    "node": "node_id",
    "namespace": "namespace",
    "deployment": "deployment",
    "replica": "replica_uid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One job as people and scripts read it."""

    uid: str
    operation: str
    node: str
    namespace: str
    deployment: str
    replica: str
    state: str
    attempts: int
    reason: str
    message: str
    created_at: datetime
    sent_at: datetime | None
    accepted_at: datetime | None
    finished_at: datetime | None


def select(wanted: Mapping[str, str]) -> Rows[JobRecord]:
    """Return jobs that match, newest first."""
    filters = {_LOOKUPS[key]: value for key, value in wanted.items() if value}
    return Rows(Job.objects.defer("payload").filter(**filters).order_by("-pk"), _record)


def get(uid: str) -> JobRecord | None:
    """Return one job, or None."""
    row = Job.objects.defer("payload").filter(uid=uid).first()
    return _record(row) if row is not None else None


def counts() -> dict[str, int]:
    """Return how many jobs there are in each state."""
    found = Job.objects.order_by().values_list("state").annotate(Count("pk"))
    return dict.fromkeys(STATES, 0) | dict(found)


def oldest_open() -> datetime | None:
    """Return when the oldest job that no node has confirmed was asked for."""
    rows = Job.objects.filter(state__in=UNCONFIRMED_STATES)
    found: datetime | None = rows.aggregate(oldest=Min("created_at"))["oldest"]
    return found


def _record(row: Job) -> JobRecord:
    return JobRecord(
        uid=row.uid,
        operation=row.operation,
        node=row.node_id,
        namespace=row.namespace,
        deployment=row.deployment,
        replica=row.replica_uid,
        state=row.state,
        attempts=row.attempts,
        reason=row.reason,
        message=row.message,
        created_at=row.created_at,
        sent_at=row.sent_at,
        accepted_at=row.accepted_at,
        finished_at=row.finished_at,
    )

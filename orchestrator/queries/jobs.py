"""Read models of jobs, in one query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from orchestrator.models import OPEN_STATES, UNCONFIRMED_STATES, Job, JobState
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many jobs there are by state, and since when the oldest waits that no node confirmed."""

    by_state: dict[str, int]
    oldest: datetime | None

    @property
    def open(self) -> int:
        """Return how many have not ended."""
        return sum(self.by_state[state] for state in OPEN_STATES)


def counts() -> Counts:
    """Return the counts (1 query)."""
    found = Job.objects.order_by().values_list("state").annotate(Count("pk"), Min("created_at"))
    rows = {state: (number, oldest) for state, number, oldest in found}
    waiting = [rows[state][1] for state in UNCONFIRMED_STATES if state in rows]
    return Counts(
        by_state={state: rows.get(state, (0, None))[0] for state in STATES},
        oldest=min(waiting, default=None),
    )


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

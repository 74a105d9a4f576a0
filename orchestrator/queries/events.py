"""Read models of events and of what caused them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from orchestrator.models import Event, Result, Severity
from orchestrator.queries.rows import Rows

SYSTEM = "kijabi"
SEVERITIES = tuple(Severity.values)
RESULTS = tuple(Result.values)
LONGEST_CHAIN = 20
_LOOKUPS = ("namespace", "deployment", "replica", "node", "reason", "severity")
# One walk up the chain in the database; both databases know this form.
_CHAIN = """
WITH RECURSIVE chain(id, depth) AS (
    SELECT cause_id, 1 FROM orchestrator_event WHERE id = %s AND cause_id IS NOT NULL
    UNION ALL
    SELECT event.cause_id, chain.depth + 1
    FROM orchestrator_event AS event JOIN chain ON event.id = chain.id
    WHERE event.cause_id IS NOT NULL AND chain.depth < %s
)
SELECT event.* FROM orchestrator_event AS event JOIN chain ON event.id = chain.id
ORDER BY chain.depth
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One event as people and scripts read it; `cause` is the id of the one that caused it."""

    id: int
    at: datetime
    reason: str
    message: str
    severity: str
    actor: str
    namespace: str
    deployment: str
    revision: int | None
    replica: str
    node: str
    verb: str
    kind: str
    name: str
    via: str
    before: str
    after: str
    result: str
    cause: int | None


def select(wanted: Mapping[str, str], *, since: int = 0) -> Rows[EventRecord]:
    """Return events that match, newest first; `since` leaves out ids up to it.

    `audit` (or `people`) leaves only what people did, `actor` what one of them did.
    """
    filters = {key: wanted[key] for key in _LOOKUPS if wanted.get(key)}
    rows = Event.objects.filter(**filters).order_by("-pk")
    if text := wanted.get("search"):
        rows = rows.filter(message__icontains=text)
    if actor := wanted.get("actor"):
        rows = rows.filter(actor=actor)
    if wanted.get("people") or wanted.get("audit"):
        rows = rows.exclude(verb="")
    return Rows(rows.filter(pk__gt=since) if since else rows, _record)


def get(pk: int) -> EventRecord | None:
    """Return one event, or None."""
    row = Event.objects.filter(pk=pk).first()
    return _record(row) if row is not None else None


def cause_chain(pk: int) -> list[EventRecord]:
    """Return what caused an event, the nearest first, in one query."""
    return [_record(row) for row in Event.objects.raw(_CHAIN, [pk, LONGEST_CHAIN])]


def _record(row: Event) -> EventRecord:
    return EventRecord(
        id=row.pk,
        at=row.at,
        reason=row.reason,
        message=row.message,
        severity=row.severity,
        actor=row.actor,
        namespace=row.namespace,
        deployment=row.deployment,
        revision=row.revision,
        replica=row.replica,
        node=row.node,
        verb=row.verb,
        kind=row.kind,
        name=row.name,
        via=row.via,
        before=row.before,
        after=row.after,
        result=row.result,
        cause=row.cause_id,
    )

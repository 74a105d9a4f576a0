"""A node's report becomes observed state. It never changes desired state, and never moves back.

Each replica's row remembers the latest report that spoke about it, so reports may arrive twice or
in any order. What changed leaves an event, and the deployments concerned are owed a pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from django.db import transaction

from orchestrator.core import rescheduling
from orchestrator.core.lifecycle import ReplicaPhase, may_follow
from orchestrator.models import Deployment, Event, Replica
from orchestrator.operations import (
    announce,
    draining,
    events,
    gateways,
    inventory,
    job_results,
    mail,
    nodes,
    routing,
    waiting,
)
from worker import protocol
from worker.envelope import Refused

_PHASES = {
    protocol.NodePhase.ACCEPTED: ReplicaPhase.ASSIGNED,
    protocol.NodePhase.PULLING: ReplicaPhase.PULLING,
    protocol.NodePhase.STARTING: ReplicaPhase.STARTING,
    protocol.NodePhase.RUNNING: ReplicaPhase.RUNNING,
    protocol.NodePhase.STOPPING: ReplicaPhase.STOPPING,
    protocol.NodePhase.STOPPED: ReplicaPhase.STOPPED,
}
_ALARMING = frozenset(
    {"CrashLoopBackOff", "LivenessProbeFailed", "StartupProbeFailed", "OOMKilled", "Error"}
)


@dataclass(slots=True)
class Ingested:
    """What a report changed: deployments that are owed a pass; whether a node has more room.

    Replicas of `moved` ones listen elsewhere; withdrawn ones of `released` wait for no gateway.
    """

    deployments: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    released: set[int] = field(default_factory=set)
    freed: bool = False
    stale: bool = False


def ingest(report: protocol.NodeReport, *, now: datetime) -> Ingested:
    """Save one report, in one transaction."""
    result = Ingested()
    with transaction.atomic():
        node = nodes.receive(report, now=now)
        if node is None:
            result.stale = True
            return result
        known = _locked_rows(report.replicas)
        inventory.adopt(node, report, known)
        report = _about_itself(report, known)
        written: list[Event] = []
        for status in report.replicas:
            row = known.get(status.uid)
            if row is not None:
                _take(row, status, report, now, written, result)
        result.freed |= job_results.take(report, now=now)
        if report.routing is not None and (node.boot, node.sequence) == (
            report.boot,
            report.sequence,
        ):
            result.released = gateways.take(node, report.routing, now=now)
        if report.full:
            inventory.compare(node, report, known, now=now)
        draining.finish(node, now=now)
        Event.objects.bulk_create(written)
        _owe_passes(result.deployments, known, written)
        if result.freed:
            waiting.wake()
        routing.refresh(result.deployments | result.moved, now=now)
    return result


def _about_itself(report: protocol.NodeReport, known: dict[str, Replica]) -> protocol.NodeReport:
    """Return the report without lines about other nodes' replicas; the rest of it still counts."""
    foreign = {uid for uid, row in known.items() if row.node_id != report.node}
    if not foreign:
        return report
    uids = ", ".join(sorted(foreign)[:5])
    told = f"node {report.node} reports about replicas of other nodes: {uids}"
    mail.refusals.note(Refused("foreign", told))
    own = tuple(status for status in report.replicas if status.uid not in foreign)
    return replace(report, replicas=own)


def _locked_rows(statuses: Iterable[protocol.ReplicaStatus]) -> dict[str, Replica]:
    """Lock deployments before replicas, as a pass does, so that the two never deadlock."""
    uids = [status.uid for status in statuses]
    if not uids:
        return {}
    concerned = Deployment.objects.filter(replica_set__uid__in=uids).order_by().values("pk")
    locks = Deployment.objects.select_for_update(no_key=True).filter(pk__in=concerned)
    list(locks.order_by("pk").values_list("pk"))
    rows = Replica.objects.select_for_update(of=("self",), no_key=True).filter(uid__in=uids)
    rows = rows.select_related("deployment", "revision").order_by("pk")
    return {row.uid: row for row in rows.defer("deployment__manifest", "revision__template")}


def _take(
    row: Replica,
    status: protocol.ReplicaStatus,
    report: protocol.NodeReport,
    now: datetime,
    written: list[Event],
    result: Ingested,
) -> None:
    """Bring one row up to a newer status; events and the owed pass are noted when it changed."""
    older = (report.boot, report.sequence) <= (row.report_boot, row.report_sequence)
    if older or status.epoch != row.epoch:
        return
    before = (row.phase, row.ready, row.reason, row.restarts)
    place = (row.address, row.ports)
    was_gone = ReplicaPhase(row.phase).is_gone
    _copy(row, status, now)
    has_ended = status.phase is protocol.NodePhase.STOPPED
    result.freed |= ReplicaPhase(row.phase).is_gone and (not was_gone or row.lingers)
    row.lingers = row.lingers and not has_ended
    row.report_boot, row.report_sequence = report.boot, report.sequence
    row.save()
    after = (row.phase, row.ready, row.reason, row.restarts)
    if place != (row.address, row.ports):
        result.moved.add(row.deployment_id)
    if before == after:
        return
    result.deployments.add(row.deployment_id)
    written.append(_event(row, status, before, now))


def _copy(row: Replica, status: protocol.ReplicaStatus, now: datetime) -> None:
    phase = _PHASES[status.phase]
    if may_follow(current=ReplicaPhase(row.phase), new=phase):
        row.phase = phase
        if phase.is_gone:
            row.finished_at = now
    ready = status.ready and ReplicaPhase(row.phase).is_live
    if ready != row.ready:
        row.ready, row.ready_at = ready, now if ready else None
        row.readiness_changed_at = now
    if row.phase != ReplicaPhase.WITHDRAWN:
        row.reason = status.reason[:64]
    row.message, row.note = status.message, status.note
    if status.restarts > row.restarts:
        _note_failures(row, status.restarts - row.restarts, now)
    row.restarts = status.restarts
    row.started_at, row.next_try_at = _instant(status.started_at), _instant(status.next_try_at)
    row.container_id, row.address = status.container_id, status.address
    row.ports = [list(pair) for pair in status.ports]
    if status.death is not None:
        row.exit_code, row.oom_killed = status.death.exit_code, status.death.oom_killed
        row.died_at = _instant(status.death.finished_at)
        row.log_tail = status.death.log_tail or row.log_tail


def _note_failures(row: Replica, number: int, now: datetime) -> None:
    """Note when a replica failed, by our own clock: every restart in place follows a failure."""
    known = [datetime.fromtimestamp(at, tz=UTC) for at in row.failures]
    since = row.failed_at or row.created_at
    noted = rescheduling.noted(known, number=number, since=since, now=now)
    row.failures, row.failed_at = [at.timestamp() for at in noted], now


def _event(
    row: Replica, status: protocol.ReplicaStatus, before: tuple[object, ...], now: datetime
) -> Event:
    alarming = status.reason in _ALARMING or row.restarts > int(str(before[3]))
    return events.about_replica(
        row,
        reason=row.reason or row.phase.capitalize(),
        message=_sentence(row, status),
        now=now,
        severity=events.warning_if(alarming),
    )


def _sentence(row: Replica, status: protocol.ReplicaStatus) -> str:
    state = "ready" if row.ready else str(row.phase)
    detail = f": {status.message}" if status.message else ""
    return f"replica {row.uid} on {row.node_id} is {state}{detail}"


def _instant(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _owe_passes(
    deployments: set[int], known: Mapping[str, Replica], written: Sequence[Event]
) -> None:
    """Note in this transaction that each deployment needs a pass, and because of which event."""
    latest = {(event.namespace, event.deployment): event for event in written}
    concerned = {row.deployment_id: row.deployment for row in known.values()}
    for pk in sorted(deployments):
        row = concerned[pk]
        event = latest.get((row.namespace_id, row.name))
        Deployment.objects.filter(pk=pk).update(settled=False, cause=event)
        announce.changed(announce.deployment_topic(row.namespace_id, row.name))

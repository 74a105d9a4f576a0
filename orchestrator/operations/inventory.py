"""Compare a node's full inventory with the database, in both directions.

What the node should run and does not know is told again. What it runs although it should not is
stopped. What the database has never heard of is left alone and shown: the database may have been
restored from a backup, and a wrong kill cannot be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from orchestrator.core.lifecycle import LIVE_PHASES, ReplicaPhase
from orchestrator.models import OPEN_STATES, Event, Job, JobOperation, JobState, Node, Replica
from orchestrator.operations import events, jobs
from worker import protocol

_CONFIRMED = (JobState.ACCEPTED, JobState.DONE)


def adopt(node: Node, report: protocol.NodeReport, known: Mapping[str, Replica]) -> None:
    """Give the node back what was written off with it and still runs there, so that it is stopped.

    Whoever forgot the node had said that nothing of it runs any more.
    """
    for status in report.replicas if report.full else ():
        replica = known.get(status.uid)
        if replica is None or status.phase is protocol.NodePhase.STOPPED:
            continue
        if replica.node_id is None and ReplicaPhase(replica.phase) is ReplicaPhase.LOST:
            replica.node = node
            replica.save(update_fields=["node"])


def compare(
    node: Node, report: protocol.NodeReport, known: Mapping[str, Replica], *, now: datetime
) -> None:
    """Queue jobs for every difference; they leave with the next dispatch."""
    # What runs there without the node's knowing why is told again, too.
    assigned = {s.uid for s in report.replicas if s.reason != protocol.UNASSIGNED}
    _renew_forgotten(node, assigned, now)
    running = [s for s in report.replicas if s.phase is not protocol.NodePhase.STOPPED]
    lingering = Replica.objects.filter(node=node, lingers=True)
    lingering.exclude(uid__in=[status.uid for status in running]).update(lingers=False)
    _stop_leftovers([known[s.uid] for s in running if s.uid in known], now)
    _show_strangers(node, sorted(str(s.uid) for s in running if s.uid not in known), now)


def _renew_forgotten(node: Node, assigned: set[protocol.ReplicaUid], now: datetime) -> None:
    """Assign again what the node confirmed once and no longer knows (its disk was wiped, say)."""
    expected = Replica.objects.filter(node=node, phase__in=LIVE_PHASES).exclude(uid__in=assigned)
    for replica in expected.select_related("deployment", "revision"):
        renewed = Job.objects.filter(
            replica=replica, operation=JobOperation.START, state__in=_CONFIRMED
        ).update(state=JobState.QUEUED, sent_at=None, attempts=0, created_at=now)
        if renewed:
            message = f"node {node.name} no longer knows replica {replica.uid}; it is told again"
            events.about_replica(
                replica, reason="AssignedAgain", message=message, now=now, severity="warning"
            ).save()


def _stop_leftovers(rows: list[Replica], now: datetime) -> None:
    """Stop what still runs although the database says it is gone or on its way out."""
    for replica in rows:
        if not ReplicaPhase(replica.phase).is_gone:
            continue
        if not replica.lingers:
            replica.lingers = True
            replica.save(update_fields=["lingers"])
        if not _is_being_stopped(replica):
            message = f"replica {replica.uid} still runs on {replica.node_id} after its end"
            event = events.about_replica(
                replica, reason="Leftover", message=message, now=now, severity="warning"
            )
            event.save()
            jobs.make(replica, JobOperation.STOP, why=jobs.Why.of(event), now=now).save()


def _is_being_stopped(replica: Replica) -> bool:
    stops = Job.objects.filter(replica=replica, operation=JobOperation.STOP)
    return stops.filter(state__in=OPEN_STATES).exists()


def _show_strangers(node: Node, strangers: list[str], now: datetime) -> None:
    """Note containers nobody knows; they are shown on the node and left alone."""
    if strangers == node.strangers:
        return
    fresh = sorted(set(strangers) - set(node.strangers))
    node.strangers = strangers
    node.save(update_fields=["strangers"])
    Event.objects.bulk_create(
        events.about_node(
            node.name,
            reason="UnknownReplica",
            message=f"node {node.name} runs replica {uid}, which the database does not know; "
            "it is left alone",
            now=now,
            replica=uid,
            severity="warning",
        )
        for uid in fresh
    )

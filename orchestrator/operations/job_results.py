"""What nodes say about their jobs: accepted, done, failed. States only move forward."""

from __future__ import annotations

from datetime import datetime

from orchestrator.models import OPEN_STATES, Job, JobOperation, JobState, Replica
from orchestrator.queries import views
from worker import protocol

_STATES = {
    protocol.JobOutcome.ACCEPTED: JobState.ACCEPTED,
    protocol.JobOutcome.DONE: JobState.DONE,
    protocol.JobOutcome.FAILED: JobState.FAILED,
}


def take(report: protocol.NodeReport, *, now: datetime) -> bool:
    """Save the outcomes a report carries of its own node's jobs; tell whether limits changed."""
    results = {result.uid: result for status in report.replicas for result in status.jobs}
    if not results:
        return False
    own = Job.objects.filter(uid__in=results, state__in=OPEN_STATES, node_id=report.node)
    changed = [
        _advance(job, results[protocol.JobUid(job.uid)], now) for job in own.defer("payload")
    ]
    return any(changed)


def _advance(job: Job, result: protocol.JobResult, now: datetime) -> bool:
    """Save one outcome; tell whether limits are now other ones."""
    state = _STATES[result.outcome]
    if job.state == state:
        return False
    values: dict[str, object] = {"state": state, "accepted_at": job.accepted_at or now}
    if state != JobState.ACCEPTED:
        values["finished_at"] = now
    if result.message:
        values["message"] = result.message
    Job.objects.filter(pk=job.pk, state__in=OPEN_STATES).update(**values)
    if state == JobState.FAILED and job.operation == JobOperation.UPDATE:
        Replica.objects.filter(uid=job.replica_uid).update(update_failed=True, note=result.message)
    is_changed = state == JobState.DONE and job.operation == JobOperation.UPDATE
    if is_changed:
        _reserve_only_what_is_in_force(job.replica_uid)
    return is_changed


def _reserve_only_what_is_in_force(uid: str) -> None:
    """Give back what a replica used before its limits were changed, unless more changes follow.

    A change that failed gives nothing back: the old limits are still in force.
    """
    updates = Job.objects.filter(replica_uid=uid, operation=JobOperation.UPDATE)
    replica = Replica.objects.filter(uid=uid).first()
    if replica is None or replica.update_failed or updates.filter(state__in=OPEN_STATES).exists():
        return
    wanted = views.resources_from(replica.resources).requested
    replica.cpu_millis_requested = wanted.cpu_millis
    replica.memory_bytes_requested = wanted.memory_bytes
    replica.save(update_fields=["cpu_millis_requested", "memory_bytes_requested"])

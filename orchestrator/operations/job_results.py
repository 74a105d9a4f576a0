"""What nodes say about their jobs: accepted, done, failed. States only move forward."""

from __future__ import annotations

from datetime import datetime

from orchestrator.models import OPEN_STATES, Job, JobOperation, JobState, Replica
from worker import protocol

_STATES = {
    protocol.JobOutcome.ACCEPTED: JobState.ACCEPTED,
    protocol.JobOutcome.DONE: JobState.DONE,
    protocol.JobOutcome.FAILED: JobState.FAILED,
}


def take(report: protocol.NodeReport, *, now: datetime) -> None:
    """Save the outcomes carried by a report, of its own node's jobs."""
    results = {result.uid: result for status in report.replicas for result in status.jobs}
    if not results:
        return
    own = Job.objects.filter(uid__in=results, state__in=OPEN_STATES, node_id=report.node)
    for job in own.defer("payload"):
        _advance(job, results[protocol.JobUid(job.uid)], now)


def _advance(job: Job, result: protocol.JobResult, now: datetime) -> None:
    state = _STATES[result.outcome]
    if job.state == state:
        return
    values: dict[str, object] = {"state": state, "accepted_at": job.accepted_at or now}
    if state != JobState.ACCEPTED:
        values["finished_at"] = now
    if result.message:
        values["message"] = result.message
    Job.objects.filter(pk=job.pk, state__in=OPEN_STATES).update(**values)
    if state == JobState.FAILED and job.operation == JobOperation.UPDATE:
        Replica.objects.filter(uid=job.replica_uid).update(update_failed=True, note=result.message)

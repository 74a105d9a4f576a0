"""Job rows become messages; what no report confirmed is sent again. Also: nudges.

A message may be lost, repeated or late: the row says what is wanted, the node makes it happen once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import F, Q

from orchestrator.celery import CONTROL_QUEUE
from orchestrator.core.lifecycle import NodeState
from orchestrator.models import UNCONFIRMED_STATES, Job, JobOperation, JobState
from orchestrator.operations.transport import publish
from worker import protocol

RECONCILE_TASK = "orchestrator.reconcile_deployment"
BATCH = 100
RESEND_AFTER = timedelta(seconds=2)
LATEST_RESEND = timedelta(seconds=60)

_TASKS = {
    JobOperation.START: protocol.START_TASK,
    JobOperation.STOP: protocol.STOP_TASK,
    JobOperation.UPDATE: protocol.UPDATE_TASK,
    JobOperation.RETRY: protocol.RETRY_TASK,
}


def nudge(deployment_id: int) -> bool:
    """Ask the control worker for a pass over one deployment now; the sweep would do it later."""
    return publish(RECONCILE_TASK, CONTROL_QUEUE, {"deployment_id": deployment_id})


def send(jobs: Iterable[Job], *, now: datetime) -> int:
    """Send jobs, one message per node and operation; return how many the broker took."""
    batches: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        batches[job.node_id, job.operation].append(job)
    sent = 0
    for (node, operation), batch in batches.items():
        for start in range(0, len(batch), BATCH):
            sent += _send_batch(node, JobOperation(operation), batch[start : start + BATCH], now)
    return sent


def resend_unconfirmed(*, now: datetime) -> int:
    """Send again every job that no report has confirmed for a while; return how many.

    The wait grows with each attempt, so that the queue of a node that is away stays short.
    """
    due = Q(state=JobState.QUEUED, sent_at=None, created_at__lte=now - RESEND_AFTER)
    for attempts in range(7):
        wait = min(RESEND_AFTER * 2**attempts, LATEST_RESEND)
        count = Q(attempts__gte=attempts) if attempts == 6 else Q(attempts=attempts)
        due |= count & Q(sent_at__lte=now - wait)
    rows = Job.objects.filter(due, state__in=UNCONFIRMED_STATES).order_by("id")
    return send(rows.exclude(node__state=NodeState.LOST)[:1000], now=now)


def _send_batch(node: str, operation: JobOperation, batch: list[Job], now: datetime) -> int:
    payloads = [job.payload for job in batch]
    taken = publish(_TASKS[operation], protocol.node_queue(node), {"jobs": payloads})
    # Guarded: a report may have confirmed the job before this line runs. An attempt counts whether
    # or not the broker took it, and sent_at is when it was last tried.
    mine = Job.objects.filter(pk__in=[job.pk for job in batch], state__in=UNCONFIRMED_STATES)
    if taken:
        mine.update(state=JobState.SENT, sent_at=now, attempts=F("attempts") + 1)
        return len(batch)
    mine.update(sent_at=now)
    return 0

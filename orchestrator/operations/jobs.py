"""Build job rows: what one node is told about one replica, addressed and in the wire form."""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from orchestrator.models import Event, Job, JobOperation, Replica
from orchestrator.operations import assignments
from orchestrator.queries import snapshots


def make(
    replica: Replica,
    operation: JobOperation,
    *,
    reason: str,
    message: str,
    now: datetime,
    event: Event | None = None,
) -> Job:
    """Return the job, not saved yet, that tells the replica's node to do this with it."""
    uid = assignments.new_uid()
    return Job(
        uid=uid,
        node_id=str(replica.node_id),
        replica=replica,
        replica_uid=replica.uid,
        namespace=replica.deployment.namespace_id,
        deployment=replica.deployment.name,
        operation=operation,
        payload=_payload(uid, replica, operation),
        reason=reason,
        message=message,
        event=event,
        created_at=now,
    )


def _payload(uid: str, replica: Replica, operation: JobOperation) -> dict[str, object]:
    match operation:
        case JobOperation.START:
            return assignments.start_payload(uid, replica=replica)
        case JobOperation.STOP:
            grace = assignments.grace_seconds(replica.revision.template)
            return assignments.stop_payload(uid, replica=replica, grace_seconds=grace)
        case JobOperation.UPDATE:
            resources = snapshots.resources_from(replica.resources)
            return assignments.update_payload(uid, replica=replica, resources=resources)
        case JobOperation.RETRY:
            return assignments.retry_payload(uid, replica=replica)
        case _:
            assert_never(operation)

"""Build job rows: what one node is told about one replica, addressed and in the wire form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from orchestrator.models import Event, Job, JobOperation, Replica
from orchestrator.operations import assignments
from orchestrator.operations.discovery import Variables
from orchestrator.queries import views


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why a job is there: a word, a sentence, and the event that says so, if it is known yet."""

    reason: str
    message: str
    event: Event | None = None

    @classmethod
    def of(cls, event: Event) -> Why:
        """Return the reason an event gives."""
        return cls(reason=event.reason, message=event.message, event=event)


def make(
    replica: Replica,
    operation: JobOperation,
    *,
    why: Why,
    now: datetime,
    variables: Variables = (),
) -> Job:
    """Return the job, not saved yet, that tells the replica's node to do this with it.

    One that starts sees the services of its namespace in `variables`.
    """
    uid = assignments.new_uid()
    return Job(
        uid=uid,
        node_id=str(replica.node_id),
        replica=replica,
        replica_uid=replica.uid,
        namespace=replica.deployment.namespace_id,
        deployment=replica.deployment.name,
        operation=operation,
        payload=_payload(uid, replica, operation, variables),
        reason=why.reason,
        message=why.message,
        event=why.event,
        created_at=now,
    )


def _payload(
    uid: str, replica: Replica, operation: JobOperation, variables: Variables
) -> dict[str, object]:
    match operation:
        case JobOperation.START:
            return assignments.start_payload(uid, replica=replica, variables=variables)
        case JobOperation.STOP:
            grace = assignments.grace_seconds(replica.revision.template)
            return assignments.stop_payload(uid, replica=replica, grace_seconds=grace)
        case JobOperation.UPDATE:
            resources = views.resources_from(replica.resources)
            return assignments.update_payload(uid, replica=replica, resources=resources)
        case JobOperation.RETRY:
            return assignments.retry_payload(uid, replica=replica)
        case _:
            assert_never(operation)

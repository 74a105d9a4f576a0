"""What people may do to one replica: try a crash-looping one now, or replace one."""

from __future__ import annotations

from django.db import transaction

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.plan import Reason
from orchestrator.models import Deployment, Endpoint, Event, Job, JobOperation, Replica
from orchestrator.operations import announce, dispatch, events, jobs, routing
from orchestrator.operations.carrying_out import withdraw
from orchestrator.operations.events import Act, Change

_REASONS = {"retry": "RetryNow", "replace": "Replaced"}


class ReplicaNotFound(LookupError):
    """No replica of that name."""

    def __init__(self, uid: str) -> None:
        super().__init__(f'replica "{uid}" does not exist')


class ReplicaNotRunning(Exception):
    """The replica is past the point where this makes sense."""


def retry(uid: str, change: Change) -> Replica:
    """Tell the node to forget the replica's back-off and try again now.

    Raises:
        ReplicaNotFound: there is no such replica.
        ReplicaNotRunning: it is stopping, gone, or not yet on a node.
    """
    with transaction.atomic():
        replica = _lock_live(uid)
        if replica.node_id is None:
            raise ReplicaNotRunning(f"replica {uid} is on no node yet: {replica.waiting}")
        event = _record(replica, change, "retry", f"replica {uid} is to be tried again now")
        job = _job(replica, JobOperation.RETRY, event, change)
        transaction.on_commit(lambda: dispatch.send([job], now=change.now))
        return replica


def replace(uid: str, change: Change) -> Replica:
    """Stop one replica for good; the planner starts another in its place.

    One that gateways know of is only withdrawn here: the planner stops it when nobody is sent
    there any more.

    Raises:
        ReplicaNotFound: there is no such replica.
        ReplicaNotRunning: it is stopping or gone already.
    """
    with transaction.atomic():
        replica = _lock_live(uid)
        event = _record(replica, change, "replace", f"replica {uid} is to be replaced")
        replica.ready, replica.ready_at = False, None
        replica.reason, replica.cause = Reason.REPLACED, event
        if replica.node_id is None:
            replica.phase, replica.finished_at = ReplicaPhase.STOPPED, change.now
        elif Endpoint.objects.filter(replica_uid=uid).exists():
            withdraw(replica, reason=Reason.REPLACED, now=change.now)
        else:
            replica.phase = ReplicaPhase.STOPPING
            job = _job(replica, JobOperation.STOP, event, change)
            transaction.on_commit(lambda: dispatch.send([job], now=change.now))
        replica.save()
        deployment_id = replica.deployment_id
        Deployment.objects.filter(pk=deployment_id).update(settled=False, cause=event)
        routing.refresh([deployment_id], now=change.now)
        transaction.on_commit(lambda: dispatch.nudge(deployment_id))
        return replica


def _lock_live(uid: str) -> Replica:
    concerned = Deployment.objects.filter(replica_set__uid=uid).values("pk")
    list(Deployment.objects.select_for_update(no_key=True).filter(pk__in=concerned))
    rows = Replica.objects.select_for_update(of=("self",), no_key=True)
    replica = rows.select_related("deployment", "revision").filter(uid=uid).first()
    if replica is None:
        raise ReplicaNotFound(uid)
    if not ReplicaPhase(replica.phase).is_live:
        raise ReplicaNotRunning(f"replica {uid} is {replica.phase} already")
    return replica


def _record(replica: Replica, change: Change, verb: str, message: str) -> Event:
    event = events.about_replica(
        replica, reason=_REASONS[verb], message=message, now=change.now, cause_id=None
    )
    events.done_by(change, event, Act(verb=verb, kind="replica", name=replica.uid)).save()
    deployment = replica.deployment
    announce.changed(announce.deployment_topic(deployment.namespace_id, deployment.name))
    return event


def _job(replica: Replica, operation: JobOperation, event: Event, change: Change) -> Job:
    job = jobs.make(replica, operation, why=jobs.Why.of(event), now=change.now)
    job.save()
    return job

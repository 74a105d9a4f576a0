"""Turn a plan's actions into rows: replicas, jobs, events. Everything in the caller's transaction.

Rows of one kind are written together at the end, so that fifty starts cost as many queries as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from typing import assert_never

from orchestrator.core import plan as core
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.spec import NOTHING, Amounts, Resources
from orchestrator.models import (
    OPEN_STATES,
    Deployment,
    Event,
    Job,
    JobOperation,
    JobState,
    Replica,
    Revision,
)
from orchestrator.operations import (
    assignments,
    deployments,
    discovery,
    events,
    jobs,
    many_rows,
    namespaces,
    rebalancing,
)
from orchestrator.operations.discovery import Variables
from orchestrator.operations.events import SYSTEM, Change
from orchestrator.queries import views

CHANGED_FIELDS = (
    "node",
    "phase",
    "reason",
    "waiting",
    "ready",
    "ready_at",
    "next_try_at",
    "withdrawn_at",
    "withdrawn_for",
    "resources",
    "cpu_millis_requested",
    "memory_bytes_requested",
    "finished_at",
    "cause",
)

_ALARMING = (core.Reason.UNPLACEABLE, core.Reason.RESCHEDULE, core.Reason.RESCHEDULE_WAITS)


class Execution:
    """Carries out one plan for one locked deployment.

    Afterwards `jobs` are the saved job rows to send; `finished` tells that the deployment's row
    is gone, `rolled_back` that a rollback has made a new revision.
    """

    def __init__(
        self, deployment: Deployment, revisions: Iterable[Revision], now: datetime
    ) -> None:
        self.jobs: list[Job] = []
        self.finished = False
        self.rolled_back = False
        self._deployment = deployment
        self._now = now
        self._revisions = {row.number: row for row in revisions}
        self._created: list[Replica] = []
        self._changed: list[Replica] = []
        self._events: list[tuple[Event, Replica | None, Job | None]] = []
        self._replicas: dict[str, Replica] = {}

    def carry_out(self, actions: Sequence[core.Action]) -> None:
        """Apply every action in order, then write the rows."""
        named = {uid for action in actions if (uid := getattr(action, "replica", None))}
        rows = self._deployment.replica_set.select_for_update(of=("self",), no_key=True)
        rows = rows.filter(uid__in=named).select_related("revision").order_by("pk")
        self._replicas = {row.uid: row for row in rows}
        for action in actions:
            self._apply(action)
        if not self.finished:
            self._write()

    def _apply(self, action: core.Action) -> None:  # noqa: C901, one branch per action
        match action:
            case core.ScaleRevision():
                self._scale(action)
            case core.StartReplica():
                self._start(action)
            case core.AssignReplica():
                self._assign(action)
            case core.WithdrawReplica():
                self._withdraw(action)
            case core.StopReplica():
                self._stop(action)
            case core.UpdateReplica():
                self._update(action)
            case core.EndMove():
                rebalancing.end_move(self._deployment, action, now=self._now)
            case core.FailRollout():
                self._fail(action)
            case core.CompleteRollout():
                self._complete(action)
            case core.PruneRevision():
                self._revisions.pop(action.revision).delete()
            case core.FinishDeletion():
                self._finish()
            case _:
                assert_never(action)

    def _scale(self, action: core.ScaleRevision) -> None:
        revision = self._revisions[action.revision]
        revision.desired = action.desired
        revision.save(update_fields=["desired"])
        self._record(action, revision)

    def _start(self, action: core.StartReplica) -> None:
        revision = self._revisions[action.revision]
        replica = Replica(
            uid=assignments.new_uid(),
            deployment=self._deployment,
            revision=revision,
            slot=action.slot,
            node_id=action.node,
            phase=ReplicaPhase.ASSIGNED if action.node else ReplicaPhase.PENDING,
            reason="Assigned" if action.node else "Unplaceable",
            waiting=action.waiting,
            replaces=action.replaces,
            moves=action.moves,
            origin=action.origin,
            created_at=self._now,
        )
        _ask_for(replica, action.resources)
        self._created.append(replica)
        job = self._job(JobOperation.START, action, replica) if action.node else None
        self._record(action, revision, replica, job)

    def _assign(self, action: core.AssignReplica) -> None:
        replica = self._replicas[action.replica]
        replica.waiting = action.waiting
        job = None
        if action.node is not None:
            replica.node_id, replica.phase = action.node, ReplicaPhase.ASSIGNED
            replica.reason = "Assigned"
            _ask_for(replica, action.resources)
            job = self._job(JobOperation.START, action, replica)
        self._changed.append(replica)
        if action.is_news:
            self._record(action, replica.revision, replica, job)

    def _withdraw(self, action: core.WithdrawReplica) -> None:
        replica = self._replicas[action.replica]
        if not ReplicaPhase(replica.phase).is_live:
            return
        self._supersede(replica)
        withdraw(replica, reason=action.reason, now=self._now)
        self._changed.append(replica)
        self._record(action, replica.revision, replica)

    def _stop(self, action: core.StopReplica) -> None:
        replica = self._replicas[action.replica]
        if ReplicaPhase(replica.phase) > ReplicaPhase.WITHDRAWN:
            return
        self._supersede(replica)
        replica.ready, replica.ready_at, replica.next_try_at = False, None, None
        replica.reason = action.reason
        job = None
        if replica.node_id is None:
            replica.phase, replica.finished_at = ReplicaPhase.STOPPED, self._now
        else:
            replica.phase = ReplicaPhase.STOPPING
            job = self._job(JobOperation.STOP, action, replica)
        self._changed.append(replica)
        self._record(action, replica.revision, replica, job)

    def _update(self, action: core.UpdateReplica) -> None:
        replica = self._replicas[action.replica]
        before = views.reserved_for(replica)
        _ask_for(replica, action.resources, at_least=before)
        replica.waiting = ""
        self._changed.append(replica)
        job = self._job(JobOperation.UPDATE, action, replica)
        self._record(action, replica.revision, replica, job)

    def _fail(self, action: core.FailRollout) -> None:
        revision = self._revisions[action.revision]
        revision.failed_at = self._now
        revision.save(update_fields=["failed_at"])
        event = self._event(action, revision)
        event.save()
        self._deployment.cause = event
        if action.rollback_to is None:
            return
        why = f"automatic: revision {action.revision} missed its progress deadline"
        change = Change(actor=SYSTEM, now=self._now, reason=why)
        deployments.roll_back(self._deployment, change, to_revision=action.rollback_to)
        self.rolled_back = True

    def _complete(self, action: core.CompleteRollout) -> None:
        revision = self._revisions[action.revision]
        revision.completed_at = revision.completed_at or self._now
        revision.failed_at = None
        revision.save(update_fields=["completed_at", "failed_at"])
        self._record(action, revision)

    def _finish(self) -> None:
        event = events.about_deployment(
            self._deployment,
            reason="DeletionFinished",
            message=f"{self._deployment} is gone; nothing of it runs any more",
            now=self._now,
        )
        event.save()
        namespace = self._deployment.namespace_id
        self._deployment.delete()
        namespaces.remove_if_empty(namespace)
        self.finished = True

    def _job(self, operation: JobOperation, action: core.Action, replica: Replica) -> Job:
        variables = self._variables if operation is JobOperation.START else ()
        job = jobs.make(
            replica,
            operation,
            variables=variables,
            why=jobs.Why(
                reason=str(getattr(action, "reason", "")),
                message=str(getattr(action, "message", "")),
            ),
            now=self._now,
        )
        self.jobs.append(job)
        return job

    @cached_property
    def _variables(self) -> Variables:
        """Return the variables that name the namespace's services: read once for many starts."""
        return discovery.variables(self._deployment.namespace_id)

    def _supersede(self, replica: Replica) -> None:
        """End earlier jobs for a replica that is to stop: the stop makes them pointless."""
        Job.objects.filter(replica_uid=replica.uid, state__in=OPEN_STATES).exclude(
            operation=JobOperation.STOP
        ).update(state=JobState.SUPERSEDED, finished_at=self._now)

    def _record(
        self,
        action: core.Action,
        revision: Revision,
        replica: Replica | None = None,
        job: Job | None = None,
    ) -> None:
        event = self._event(action, revision)
        if replica is not None:
            event.replica, event.node = replica.uid, replica.node_id or ""
        self._events.append((event, replica, job))

    def _event(self, action: core.Action, revision: Revision) -> Event:
        reason = getattr(action, "reason", type(action).__name__)
        is_cut = isinstance(action, core.StopReplica) and action.is_cut
        alarming = is_cut or isinstance(action, core.FailRollout) or reason in _ALARMING
        return events.about_deployment(
            self._deployment,
            reason=str(reason),
            message=str(getattr(action, "message", "")),
            now=self._now,
            revision=revision.number,
            severity=events.warning_if(alarming),
        )

    def _write(self) -> None:
        Event.objects.bulk_create([event for event, _, _ in self._events])
        for event, replica, job in self._events:
            if replica is not None:
                replica.cause = event
            if job is not None:
                job.event = event
        Replica.objects.bulk_create(self._created)
        many_rows.update(self._changed, CHANGED_FIELDS)
        Job.objects.bulk_create(self.jobs)


def withdraw(replica: Replica, *, reason: str, now: datetime) -> None:
    """Take a replica out of rotation; its row is saved, and its routes renewed, by the caller."""
    replica.phase, replica.reason = ReplicaPhase.WITHDRAWN, reason
    replica.ready, replica.ready_at, replica.next_try_at = False, None, None
    replica.withdrawn_at, replica.withdrawn_for = now, reason


def _ask_for(replica: Replica, resources: Resources, *, at_least: Amounts = NOTHING) -> None:
    """Set the resources of a row, as it keeps them (only what is set), and what they reserve."""
    stored = {name: value for name, value in asdict(resources).items() if value is not None}
    replica.resources = stored
    reserved = resources.requested.at_least(at_least)
    replica.cpu_millis_requested = reserved.cpu_millis
    replica.memory_bytes_requested = reserved.memory_bytes

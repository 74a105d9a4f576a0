"""Jobs: one message to one node each; the row is the outbox and the record."""

from __future__ import annotations

from django.db import models

from orchestrator.models.node import Node
from orchestrator.models.replica import Replica


class JobOperation(models.TextChoices):
    """What a job asks of a node."""

    START = "start"
    STOP = "stop"
    UPDATE = "update"
    RETRY = "retry"


class JobState(models.TextChoices):
    """How far a job has come; `superseded` means a later job made it pointless."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"
    SUPERSEDED = "superseded"


OPEN_STATES = (JobState.QUEUED, JobState.SENT, JobState.ACCEPTED)
UNCONFIRMED_STATES = (JobState.QUEUED, JobState.SENT)


class Job(models.Model):
    """One thing a node is told to do, sent again until a report confirms it."""

    uid = models.CharField(max_length=32, unique=True)
    node = models.ForeignKey(Node, to_field="name", db_column="node", on_delete=models.PROTECT)
    replica = models.ForeignKey(
        Replica, null=True, on_delete=models.SET_NULL, related_name="job_set"
    )
    replica_uid = models.CharField(max_length=32)
    namespace = models.CharField(max_length=63)
    deployment = models.CharField(max_length=63)
    operation = models.CharField(max_length=8, choices=JobOperation)
    payload = models.JSONField()
    state = models.CharField(max_length=12, choices=JobState, default=JobState.QUEUED)
    attempts = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=64, default="")
    message = models.TextField(default="")
    event = models.ForeignKey(
        "orchestrator.Event", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    accepted_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(
                fields=("sent_at",),
                condition=models.Q(state__in=UNCONFIRMED_STATES),
                name="job_unconfirmed",
            )
        ]

    def __str__(self) -> str:
        return f"{self.operation} {self.replica_uid}"

"""The record of what happened and why; rows are appended and pruned by age, never changed."""

from __future__ import annotations

from django.db import models


class Severity(models.TextChoices):
    """How much an event should worry its reader."""

    NORMAL = "normal"
    WARNING = "warning"


class Result(models.TextChoices):
    """What came of a person's act."""

    DONE = "done"
    FAILED = "failed"


class Event(models.Model):
    """One change or action, who or what did it, and the event that caused it.

    Subjects are kept by name, so that the record outlives what it speaks about. A person's act has
    a verb, the kind and name of its object, what the person came through (`via`: a login session
    or a token, by name) and, where that is short, what it was before and after.
    """

    at = models.DateTimeField(db_index=True)
    reason = models.CharField(max_length=64)
    message = models.TextField()
    severity = models.CharField(max_length=8, choices=Severity, default=Severity.NORMAL)
    actor = models.CharField(max_length=150)
    namespace = models.CharField(max_length=63, default="")
    deployment = models.CharField(max_length=63, default="")
    revision = models.PositiveIntegerField(null=True)
    replica = models.CharField(max_length=32, default="")
    node = models.CharField(max_length=63, default="")
    verb = models.CharField(max_length=16, default="")
    kind = models.CharField(max_length=16, default="")
    name = models.CharField(max_length=150, default="")
    via = models.CharField(max_length=120, default="")
    before = models.CharField(max_length=150, default="")
    after = models.CharField(max_length=150, default="")
    result = models.CharField(max_length=8, choices=Result, default="")
    cause = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="effects")

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=("namespace", "deployment", "-id"), name="event_by_deployment"),
            models.Index(fields=("replica", "-id"), name="event_by_replica"),
            models.Index(fields=("actor", "-id"), name="event_by_actor"),
            models.Index(fields=("-id",), name="event_audit", condition=~models.Q(verb="")),
        ]

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"

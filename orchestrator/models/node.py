"""Observed state: nodes, as they describe themselves, and what people decided about them."""

from __future__ import annotations

from django.db import models

from orchestrator.core.lifecycle import NodeState


class Node(models.Model):
    """A machine with an agent.

    `labels` are its own, `given_labels` those people gave it, which win; `taints` are people's,
    each with key, value and effect. `boot` and `sequence` order its reports. `strangers` are
    containers it runs that the database does not know; they are left alone. A draining node is
    cordoned as well; `drained_at` is when it was found empty. One that is not heard is
    `silent_since` then and is to be given up at `lost_due_at`; `doubted` is set while it would be
    lost, had not most nodes fallen silent. `refusal` says why its messages were dropped.
    """

    name = models.CharField(max_length=63, unique=True)
    state = models.CharField(max_length=16, default=NodeState.READY)
    cordoned = models.BooleanField(default=False)
    draining = models.BooleanField(default=False)
    drain_started_at = models.DateTimeField(null=True)
    drain_until = models.DateTimeField(null=True)
    drained_at = models.DateTimeField(null=True)
    lost_at = models.DateTimeField(null=True)
    doubted = models.BooleanField(default=False)
    silent_since = models.DateTimeField(null=True)
    lost_due_at = models.DateTimeField(null=True)
    refusal = models.TextField(default="")
    refused_at = models.DateTimeField(null=True)
    labels = models.JSONField(default=dict)
    given_labels = models.JSONField(default=dict)
    taints = models.JSONField(default=list)
    runtimes = models.JSONField(default=list)
    notes = models.JSONField(default=list)
    strangers = models.JSONField(default=list)
    cpu_millis = models.PositiveIntegerField(default=0)
    memory_bytes = models.PositiveBigIntegerField(default=0)
    release = models.CharField(max_length=32, default="")
    address = models.CharField(max_length=64, default="")
    boot = models.BigIntegerField(default=0)
    sequence = models.BigIntegerField(default=0)
    joined_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def all_labels(self) -> dict[str, str]:
        """Return the labels that count for placement."""
        return {**self.labels, **self.given_labels}

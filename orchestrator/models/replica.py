"""Observed state: replicas, as their nodes report them."""

from __future__ import annotations

from django.db import models

from orchestrator.core.lifecycle import LIVE_PHASES, ReplicaPhase
from orchestrator.models.deployment import Deployment, Revision
from orchestrator.models.node import Node


class Replica(models.Model):
    """One planned unit of one revision on one node.

    `resources` are the limits in force or on their way; what is requested is what the node keeps
    free for it, the larger of both while a change is on its way. `failures` are the latest times it
    failed, in seconds since 1970, `failed_at` the last of them. `replaces` is the uid of the one it
    was started instead of, `origin` says so, and `moves` how often in a row that was because it
    kept failing. (`report_boot`,
    `report_sequence`) is the latest report that spoke about it; older ones change nothing.
    """

    uid = models.CharField(max_length=32, unique=True)
    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="replica_set")
    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="replica_set")
    slot = models.PositiveIntegerField()
    node = models.ForeignKey(
        Node, to_field="name", db_column="node", null=True, on_delete=models.PROTECT
    )
    epoch = models.PositiveIntegerField(default=1)
    phase = models.CharField(max_length=16, default=ReplicaPhase.PENDING)

    ready = models.BooleanField(default=False)
    ready_at = models.DateTimeField(null=True)
    readiness_changed_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=64, default="")
    message = models.TextField(default="")
    waiting = models.TextField(default="")
    note = models.TextField(default="")
    restarts = models.PositiveIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    container_id = models.CharField(max_length=128, default="")
    address = models.CharField(max_length=64, default="")
    ports = models.JSONField(default=list)
    resources = models.JSONField(default=dict)
    cpu_millis_requested = models.PositiveIntegerField(default=0)
    memory_bytes_requested = models.PositiveBigIntegerField(default=0)
    update_failed = models.BooleanField(default=False)
    deletion_cost = models.IntegerField(default=0)

    exit_code = models.IntegerField(null=True)
    oom_killed = models.BooleanField(default=False)
    died_at = models.DateTimeField(null=True)
    log_tail = models.TextField(default="")
    failures = models.JSONField(default=list)
    failed_at = models.DateTimeField(null=True)
    replaces = models.CharField(max_length=32, default="")
    moves = models.PositiveIntegerField(default=0)
    origin = models.TextField(default="")

    report_boot = models.BigIntegerField(default=0)
    report_sequence = models.BigIntegerField(default=0)
    cause = models.ForeignKey(
        "orchestrator.Event", null=True, on_delete=models.SET_NULL, related_name="+"
    )

    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("deployment_id", "revision_id", "slot", "uid")
        constraints = [
            models.UniqueConstraint(
                fields=("revision", "slot"),
                condition=models.Q(phase__in=LIVE_PHASES),
                name="replica_live_slot_unique",
            )
        ]
        indexes = [
            models.Index(fields=("node", "phase"), name="replica_by_node"),
            models.Index(
                fields=("deployment",),
                condition=models.Q(phase__in=LIVE_PHASES) & ~models.Q(waiting=""),
                name="replica_waiting",
            ),
        ]

    def __str__(self) -> str:
        return self.uid

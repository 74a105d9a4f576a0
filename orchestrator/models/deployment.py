"""Desired state: namespaces and deployments, with the status people read."""

from __future__ import annotations

from django.db import models

from orchestrator.core.lifecycle import RolloutState
from orchestrator.core.plan import DeploymentPhase


class Namespace(models.Model):
    """A room for names; `deleting` means it goes with the last deployment in it.

    Replicas of an `open` one may be reached directly from every other.
    """

    name = models.CharField(max_length=63, unique=True)
    deleting = models.BooleanField(default=False)
    open = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Deployment(models.Model):
    """What somebody asked for (`manifest`, as written) and how it does.

    `replicas` is the number in force. It is the manifest's, unless the autoscaler `scaled_by` owns
    it: then it is `autoscaled`, or 0 when the manifest says 0. Where that is 0 and the manifest
    does not say so, the deployment is asleep until a request comes.

    `settled` false means a pass is owed; every change that could alter a plan clears it in its
    own transaction, so that a lost nudge costs only the time to the next sweep. `rebalancing` is
    set while moves are asked for that have not ended.
    """

    uid = models.CharField(max_length=32, unique=True)
    namespace = models.ForeignKey(
        Namespace, to_field="name", db_column="namespace", on_delete=models.PROTECT
    )
    name = models.CharField(max_length=63)
    manifest = models.JSONField()
    generation = models.PositiveIntegerField(default=1)
    observed_generation = models.PositiveIntegerField(default=0)
    replicas = models.PositiveIntegerField()
    scaled_by = models.CharField(max_length=63, default="")
    autoscaled = models.PositiveIntegerField(null=True)
    revision = models.PositiveIntegerField(default=0)
    paused = models.BooleanField(default=False)
    deleting = models.BooleanField(default=False)
    rebalancing = models.BooleanField(default=False)

    settled = models.BooleanField(default=False)
    wake_at = models.DateTimeField(null=True)
    cause = models.ForeignKey(
        "orchestrator.Event", null=True, on_delete=models.SET_NULL, related_name="+"
    )

    rollout_state = models.CharField(max_length=32, default=RolloutState.PROGRESSING)
    scaled_for = models.PositiveIntegerField(default=0)
    scaled_max = models.PositiveIntegerField(default=0)
    progressed_at = models.DateTimeField()
    seen_updated = models.PositiveIntegerField(default=0)
    seen_old = models.PositiveIntegerField(default=0)
    seen_ready = models.PositiveIntegerField(default=0)
    seen_available = models.PositiveIntegerField(default=0)

    phase = models.CharField(max_length=16, default=DeploymentPhase.PROGRESSING)
    message = models.TextField(default="waiting for the first pass")
    live_replicas = models.PositiveIntegerField(default=0)
    updated_replicas = models.PositiveIntegerField(default=0)
    ready_replicas = models.PositiveIntegerField(default=0)
    available_replicas = models.PositiveIntegerField(default=0)

    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ("namespace_id", "name")
        constraints = [
            models.UniqueConstraint(fields=("namespace", "name"), name="deployment_name_unique"),
            models.CheckConstraint(
                condition=models.Q(observed_generation__lte=models.F("generation")),
                name="deployment_observed_not_ahead",
            ),
            models.CheckConstraint(
                condition=models.Q(scaled_by="", autoscaled=None)
                | (~models.Q(scaled_by="") & models.Q(autoscaled__isnull=False)),
                name="deployment_one_owner_of_replicas",
            ),
        ]
        indexes = [models.Index(fields=("settled", "wake_at"), name="deployment_unsettled")]

    def __str__(self) -> str:
        return f"{self.namespace_id}/{self.name}"


class Revision(models.Model):
    """A numbered, immutable pod template of a deployment; only the counters move.

    `rollout_hash` leaves resources out: two revisions that differ only there share replicas.
    `repels` tells that its replicas must be apart from some others, which then have to know.
    """

    deployment = models.ForeignKey(Deployment, on_delete=models.CASCADE, related_name="revisions")
    number = models.PositiveIntegerField()
    template = models.JSONField()
    rollout_hash = models.CharField(max_length=32)
    repels = models.BooleanField(default=False)
    desired = models.PositiveIntegerField(default=0)
    author = models.CharField(max_length=150)
    reason = models.TextField(default="")
    is_rollback = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    completed_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("deployment_id", "number")
        constraints = [
            models.UniqueConstraint(fields=("deployment", "number"), name="revision_number_unique")
        ]
        indexes = [
            models.Index(
                fields=("deployment",), condition=models.Q(repels=True), name="revision_repels"
            )
        ]

    def __str__(self) -> str:
        return f"revision {self.number}"

"""Autoscalers as people wrote them, and every decision they came to."""

from __future__ import annotations

from django.db import models

from orchestrator.models.deployment import Namespace


class Autoscaler(models.Model):
    """What somebody asked for (`manifest`, as written); it owns the number of one deployment.

    The target is kept by name, as in Kubernetes: it may come later, or go and come again. One that
    `may_sleep` comes down to no replica while no request comes.
    """

    uid = models.CharField(max_length=32, unique=True)
    namespace = models.ForeignKey(
        Namespace, to_field="name", db_column="namespace", on_delete=models.PROTECT
    )
    name = models.CharField(max_length=63)
    target = models.CharField(max_length=63)
    manifest = models.JSONField()
    may_sleep = models.BooleanField(default=False)
    generation = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ("namespace_id", "name")
        constraints = [
            models.UniqueConstraint(fields=("namespace", "name"), name="autoscaler_name_unique"),
            models.UniqueConstraint(
                fields=("namespace", "target"), name="autoscaler_target_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.namespace_id}/{self.name}"


class ScalingDecision(models.Model):
    """One evaluation: what was seen, the arithmetic (`detail`), what came of it and why.

    `proposed` is what the metrics alone called for; later evaluations look back at it.
    """

    autoscaler = models.ForeignKey(Autoscaler, on_delete=models.CASCADE, related_name="decisions")
    at = models.DateTimeField()
    current = models.PositiveIntegerField()
    proposed = models.PositiveIntegerField(null=True)
    desired = models.PositiveIntegerField()
    word = models.CharField(max_length=32)
    message = models.TextField()
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ("-id",)
        indexes = [
            models.Index(fields=("autoscaler", "-at"), name="decision_by_autoscaler"),
            models.Index(
                fields=("autoscaler", "-at"),
                name="decision_that_changed",
                condition=~models.Q(current=models.F("desired")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.current} → {self.desired}: {self.message}"

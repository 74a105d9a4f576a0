"""Rebalancing: what people asked to be moved, and what became of each move."""

from __future__ import annotations

from django.db import models

from orchestrator.models.deployment import Deployment


class Rebalance(models.Model):
    """One plan that somebody had carried out; at most one runs at a time.

    `pairs` are replicas of one deployment on one node, `fullest` and `emptiest` the thousandths
    reserved of such nodes: as they were, and as they should be afterwards.
    """

    asked_by = models.CharField(max_length=150)
    asked_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    running = models.BooleanField(default=True)
    cancelled = models.BooleanField(default=False)
    pairs_before = models.PositiveIntegerField()
    pairs_after = models.PositiveIntegerField()
    fullest_before = models.PositiveIntegerField()
    fullest_after = models.PositiveIntegerField()
    emptiest_before = models.PositiveIntegerField()
    emptiest_after = models.PositiveIntegerField()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.UniqueConstraint(
                fields=("running",), condition=models.Q(running=True), name="rebalance_one_runs"
            )
        ]

    def __str__(self) -> str:
        return f"rebalance {self.pk} by {self.asked_by}"


class MoveState(models.TextChoices):
    """What became of a move."""

    OPEN = "open"
    DONE = "done"
    DROPPED = "dropped"
    CANCELLED = "cancelled"


class RebalanceMove(models.Model):
    """One move of one replica; moves of a deployment are made in the order of their ids.

    Subjects are kept by name as well, so that the record outlives them.
    """

    rebalance = models.ForeignKey(Rebalance, on_delete=models.CASCADE, related_name="moves")
    deployment = models.ForeignKey(
        Deployment, null=True, on_delete=models.SET_NULL, related_name="moves"
    )
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=63)
    replica = models.CharField(max_length=32)
    slot = models.PositiveIntegerField()
    source = models.CharField(max_length=63)
    target = models.CharField(max_length=63)
    pairs = models.PositiveIntegerField()
    relief = models.PositiveIntegerField()
    gain = models.TextField()
    seconds = models.PositiveIntegerField()
    fewer = models.PositiveIntegerField()
    cost = models.TextField()
    state = models.CharField(max_length=16, choices=MoveState, default=MoveState.OPEN)
    message = models.TextField(default="")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("id",)
        indexes = [
            models.Index(
                fields=("deployment",), condition=models.Q(state=MoveState.OPEN), name="move_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.replica} from {self.source} to {self.target}"

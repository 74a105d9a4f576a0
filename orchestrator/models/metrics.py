"""What nodes measured, many samples to a row, so that a report costs one."""

from __future__ import annotations

from django.db import models


class MetricBlock(models.Model):
    """What one node measured, `at` when it was told; rolled-up blocks cover `seconds` until then.

    `seconds` is 0 for a block as it came, with the (`boot`, `sequence`) of its report. Nodes are
    kept by name, and replicas by uid with the deployment they belonged to: blocks outlive both.
    `samples` has the form of core/samples.py, `names` says whom it speaks of.
    """

    node = models.CharField(max_length=63)
    seconds = models.PositiveIntegerField()
    at = models.DateTimeField()
    boot = models.BigIntegerField(default=0)
    sequence = models.BigIntegerField(default=0)
    names = models.TextField(default="")
    samples = models.JSONField()

    class Meta:
        ordering = ("at",)
        constraints = [
            models.UniqueConstraint(fields=("node", "seconds", "at"), name="metric_block_unique")
        ]
        indexes = [models.Index(fields=("seconds", "at"), name="metric_block_by_age")]

    def __str__(self) -> str:
        return f"{self.node}: {self.seconds} s until {self.at}"

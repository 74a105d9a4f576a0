"""What nodes measured, many samples to a row, so that a report costs one."""

from __future__ import annotations

from django.db import models


class MetricBlock(models.Model):
    """What one node measured in the `seconds` that ended `at`, by operations/measurements.py.

    (`boot`, `sequence`) is the report it came with; rolled-up blocks have none. Nodes are kept by
    name, and replicas by uid with the deployment they belonged to: blocks outlive both.
    """

    node = models.CharField(max_length=63)
    seconds = models.PositiveIntegerField()
    at = models.DateTimeField()
    boot = models.BigIntegerField(default=0)
    sequence = models.BigIntegerField(default=0)
    samples = models.JSONField()

    class Meta:
        ordering = ("at",)
        constraints = [
            models.UniqueConstraint(fields=("node", "seconds", "at"), name="metric_block_unique")
        ]
        indexes = [models.Index(fields=("seconds", "at"), name="metric_block_by_age")]

    def __str__(self) -> str:
        return f"{self.node}: {self.seconds} s until {self.at}"

"""Who may join as a node, and the keys of those that did. Nothing here is secret: digests only."""

from __future__ import annotations

from django.db import models


class JoinToken(models.Model):
    """Lets one machine join, once: only its SHA-256 is kept. `node` is who used it."""

    digest = models.CharField(max_length=64, unique=True)
    made_by = models.CharField(max_length=150)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    used_at = models.DateTimeField(null=True)
    node = models.CharField(max_length=63, default="")

    class Meta:
        ordering = ("id",)

    def __str__(self) -> str:
        return f"a join token of {self.made_by}"


class NodeIdentity(models.Model):
    """The public keys of a node, in hexadecimal: one checks its reports, one seals for it.

    `broker_digest` is the SHA-256 of its own password at the broker; empty when it shares ours.
    """

    name = models.CharField(max_length=63, unique=True)
    check_key = models.CharField(max_length=64)
    seal_key = models.CharField(max_length=64)
    broker_digest = models.CharField(max_length=64, default="")
    issued_at = models.DateTimeField()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

"""The routes as gateways are told them, and what each gateway has confirmed.

Invariant: these rows (gateways apart) are written only by whoever holds the row of `Routing`, who
writes nothing else and so waits for nobody; they name things instead of pointing at them.
"""

from __future__ import annotations

from django.db import models

from orchestrator.models.node import Node


class Routing(models.Model):
    """The one row that numbers every change of routing.

    A change that begins at `complete_since` or later can be told as such: what was removed before
    is forgotten. `peers` are the addresses of all nodes, `open_namespaces` those whose
    replicas everybody may reach. `changed_at` never goes back: whoever
    waited for the row may come with an earlier time than whoever had it before.
    """

    generation = models.PositiveBigIntegerField(default=0)
    complete_since = models.PositiveBigIntegerField(default=0)
    peers = models.JSONField(default=list)
    open_namespaces = models.JSONField(default=list)
    changed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"generation {self.generation}"


class RouteEntry(models.Model):
    """One service or ingress as it stands on the wire; `removed` ones are kept for a while.

    `source` is the generation of the manifest it was made from. Keys of certificates are left out.
    """

    SERVICE = "service"
    INGRESS = "ingress"

    kind = models.CharField(max_length=8)
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=63)
    source = models.CharField(max_length=64, default="")
    generation = models.PositiveBigIntegerField(db_index=True)
    removed = models.BooleanField(default=False)
    removed_at = models.DateTimeField(null=True)
    payload = models.JSONField(default=dict)

    class Meta:
        ordering = ("kind", "namespace", "name")
        constraints = [
            models.UniqueConstraint(fields=("kind", "namespace", "name"), name="route_entry_unique")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class Endpoint(models.Model):
    """A replica that is or was behind a service; `generation` is when its standing changed."""

    entry = models.ForeignKey(RouteEntry, on_delete=models.CASCADE, related_name="endpoints")
    replica_uid = models.CharField(max_length=32, db_index=True)
    standing = models.CharField(max_length=8)
    generation = models.PositiveBigIntegerField()

    class Meta:
        ordering = ("entry_id", "replica_uid")
        constraints = [
            models.UniqueConstraint(fields=("entry", "replica_uid"), name="endpoint_unique")
        ]

    def __str__(self) -> str:
        return f"{self.replica_uid} {self.standing}"


class RelayPort(models.Model):
    """The port of its node under which other nodes reach one port of a replica."""

    node = models.CharField(max_length=63)
    number = models.PositiveIntegerField()
    protocol = models.CharField(max_length=3)
    replica_uid = models.CharField(max_length=32)
    port = models.PositiveIntegerField()

    class Meta:
        ordering = ("node", "number")
        constraints = [
            models.UniqueConstraint(fields=("node", "number"), name="relay_port_unique"),
            models.UniqueConstraint(
                fields=("replica_uid", "protocol", "port"), name="relay_port_of_replica"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.node}:{self.number}"


class Gateway(models.Model):
    """What a node says of its gateways, and what it was told.

    `ways` are what it can route with; one that has none is waited for by nobody. `behind` is set
    while it has not confirmed for long what it was told. `waiting` are services (`namespace/name`)
    for which requests wait there, as no replica serves.
    """

    node = models.OneToOneField(
        Node, to_field="name", db_column="node", on_delete=models.CASCADE, related_name="gateway"
    )
    generation = models.PositiveBigIntegerField(default=0)
    ways = models.JSONField(default=list)
    busy = models.JSONField(default=list)
    waiting = models.JSONField(default=list)
    message = models.TextField(default="")
    confirmed_at = models.DateTimeField()
    sent_generation = models.PositiveBigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    owed_since = models.DateTimeField(null=True)
    behind = models.BooleanField(default=False)

    class Meta:
        ordering = ("node_id",)

    def __str__(self) -> str:
        return str(self.node_id)

"""Desired traffic: services, ingresses and certificates, as somebody wrote them."""

from __future__ import annotations

from django.db import models

from orchestrator.models.deployment import Namespace, Revision


class Stored(models.Model):
    """What is nothing more than a manifest with a name, which people create, change and delete."""

    uid = models.CharField(max_length=32, unique=True)
    namespace = models.ForeignKey(
        Namespace, to_field="name", db_column="namespace", on_delete=models.PROTECT
    )
    name = models.CharField(max_length=63)
    manifest = models.JSONField()
    generation = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        abstract = True
        ordering = ("namespace_id", "name")
        constraints = [
            models.UniqueConstraint(fields=("namespace", "name"), name="%(class)s_name_unique")
        ]

    def __str__(self) -> str:
        return f"{self.namespace_id}/{self.name}"


class Service(Stored):
    """A stable name and address for the replicas that a selector picks.

    `anchor` is one of the selector's labels as `key=value`: what has not got it is not selected,
    and it can be looked up. The addresses are the service's for life; a headless one has none.
    """

    anchor = models.CharField(max_length=400, default="")
    address = models.GenericIPAddressField(null=True, unique=True, protocol="IPv4")
    address6 = models.GenericIPAddressField(null=True, unique=True, protocol="IPv6")

    class Meta(Stored.Meta):
        indexes = [models.Index(fields=("namespace", "anchor"), name="service_by_anchor")]


class ServicePort(models.Model):
    """A port of a service; `node_port` is open on every node."""

    service = models.ForeignKey(Service, on_delete=models.CASCADE, related_name="ports")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=63, default="")
    protocol = models.CharField(max_length=3, default="TCP")
    target = models.CharField(max_length=63)
    node_port = models.PositiveIntegerField(null=True)

    class Meta:
        ordering = ("service_id", "id")
        constraints = [
            models.UniqueConstraint(
                fields=("service", "protocol", "number"), name="service_port_unique"
            ),
            models.UniqueConstraint(fields=("protocol", "node_port"), name="node_port_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


class RevisionLabel(models.Model):
    """A label (`key=value`) of the replicas of a revision, so that services find them."""

    revision = models.ForeignKey(Revision, on_delete=models.CASCADE, related_name="label_set")
    pair = models.CharField(max_length=400, db_index=True)

    class Meta:
        ordering = ("revision_id", "id")

    def __str__(self) -> str:
        return self.pair


class Ingress(Stored):
    """Hosts and paths that lead to services."""


class IngressPath(models.Model):
    """One host (empty: any) and path, which one ingress alone may claim."""

    ingress = models.ForeignKey(Ingress, on_delete=models.CASCADE, related_name="paths")
    host = models.CharField(max_length=253, default="")
    path = models.CharField(max_length=1024)
    match = models.CharField(max_length=8)
    service = models.CharField(max_length=63)

    class Meta:
        ordering = ("ingress_id", "id")
        constraints = [
            models.UniqueConstraint(fields=("host", "path", "match"), name="ingress_path_unique")
        ]

    def __str__(self) -> str:
        return f"{self.host}{self.path}"


class Secret(Stored):
    """A certificate chain and its key. The manifest holds neither; the key is kept sealed.

    `digest` tells whether the same key is given again.
    """

    chain = models.TextField()
    sealed_key = models.TextField()
    digest = models.CharField(max_length=64)
    hosts = models.JSONField(default=list)
    expires_at = models.DateTimeField()

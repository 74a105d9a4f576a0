"""Services, ingresses and secrets over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import fields, serializers

from orchestrator.api.deployments import MANIFEST_BODY
from orchestrator.api.objects import Everywhere, InNamespace, ManifestOf, One, Patchable
from orchestrator.core.rotation import Standing
from orchestrator.operations import ingresses as ingress_operations
from orchestrator.operations import secrets as secret_operations
from orchestrator.operations import services as service_operations
from orchestrator.queries import ingresses, services
from orchestrator.queries.rows import Rows

_IF_MATCH = OpenApiParameter(
    "generation", int, description="409 unless it is still this one; as the header If-Match"
)
_SEARCH = OpenApiParameter("search", description="part of the name")
_NAMESPACE = OpenApiParameter("namespace")
_WRITTEN = OpenApiParameter("written", bool, description="as written, no defaults")


class PortShape(serializers.Serializer[Any]):
    """A port of a service; `node_port` is open on every node."""

    name = fields.CharField()
    port = fields.IntegerField()
    target = fields.CharField()
    protocol = fields.CharField()
    node_port = fields.IntegerField(allow_null=True)


class EndpointShape(serializers.Serializer[Any]):
    """A replica that a service selects: where it stands, and why."""

    replica = fields.CharField()
    deployment = fields.CharField()
    node = fields.CharField(allow_null=True)
    address = fields.CharField()
    standing = fields.ChoiceField(list(Standing))
    why = fields.CharField()


class ServiceStatusShape(serializers.Serializer[Any]):
    """How a service does; `unconfirmed` are nodes whose gateways do not have its routes yet."""

    message = fields.CharField()
    warning = fields.CharField()
    addresses = fields.ListField(child=fields.CharField())
    ports = PortShape(many=True)
    serving = fields.IntegerField()
    draining = fields.IntegerField()
    out = fields.IntegerField()
    routes_generation = fields.IntegerField()
    unconfirmed = fields.ListField(child=fields.CharField())


class ServiceShape(serializers.Serializer[Any]):
    """A service; `spec` is the manifest's with every default."""

    namespace = fields.CharField()
    name = fields.CharField()
    generation = fields.IntegerField()
    labels = fields.DictField(child=fields.CharField())
    spec = fields.DictField()
    status = ServiceStatusShape(source="*")
    created_at = fields.DateTimeField()
    changed_at = fields.DateTimeField()


class IngressStatusShape(serializers.Serializer[Any]):
    """How an ingress does; `unconfirmed` are nodes whose gateways do not have its routes yet."""

    hosts = fields.ListField(child=fields.CharField(allow_blank=True))
    tls_hosts = fields.ListField(child=fields.CharField())
    held = fields.BooleanField()
    sticky = fields.BooleanField()
    routes_generation = fields.IntegerField()
    unconfirmed = fields.ListField(child=fields.CharField())


class IngressShape(serializers.Serializer[Any]):
    """An ingress; `spec` is the manifest's with every default."""

    namespace = fields.CharField()
    name = fields.CharField()
    generation = fields.IntegerField()
    labels = fields.DictField(child=fields.CharField())
    spec = fields.DictField()
    status = IngressStatusShape(source="*")
    created_at = fields.DateTimeField()
    changed_at = fields.DateTimeField()


class SecretShape(serializers.Serializer[Any]):
    """A certificate and its key, of which only this is ever shown."""

    namespace = fields.CharField()
    name = fields.CharField()
    generation = fields.IntegerField()
    type = fields.CharField()
    hosts = fields.ListField(child=fields.CharField())
    expires_at = fields.DateTimeField()
    created_at = fields.DateTimeField()
    changed_at = fields.DateTimeField()


def _list_of(shape: type[serializers.Serializer[Any]]) -> Any:
    listed = extend_schema(parameters=[_SEARCH, _NAMESPACE], responses=shape(many=True))
    return extend_schema_view(get=listed)


def _in_namespace(shape: type[serializers.Serializer[Any]]) -> Any:
    return extend_schema_view(
        get=extend_schema(parameters=[_SEARCH], responses=shape(many=True)),
        post=extend_schema(request=MANIFEST_BODY, responses={201: shape}),
    )


def _one(shape: type[serializers.Serializer[Any]], **more: Any) -> Any:
    changed = extend_schema(request=MANIFEST_BODY, parameters=[_IF_MATCH], responses=shape)
    gone = extend_schema(request=None, parameters=[_IF_MATCH], responses={204: None})
    got = extend_schema(responses=shape)
    return extend_schema_view(get=got, put=changed, delete=gone, **more)


def _patchable(shape: type[serializers.Serializer[Any]]) -> Any:
    body = {"application/merge-patch+json": OpenApiTypes.OBJECT}
    return _one(shape, patch=extend_schema(request=body, parameters=[_IF_MATCH], responses=shape))


_manifest = extend_schema_view(
    get=extend_schema(parameters=[_WRITTEN], responses=OpenApiTypes.OBJECT)
)


@_list_of(ServiceShape)
class Services(Everywhere):
    """Services of all namespaces."""

    shape = ServiceShape

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        return services.select(wanted)


@_in_namespace(ServiceShape)
class NamespaceServices(InNamespace):
    """Services of one namespace."""

    shape, store = ServiceShape, service_operations.STORE

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        return services.select(wanted)

    def record(self, namespace: str, name: str) -> object:
        """Return one service, or None."""
        return services.get(namespace, name)


@_patchable(ServiceShape)
class Service(Patchable):
    """One service."""

    shape, store = ServiceShape, service_operations.STORE

    def record(self, namespace: str, name: str) -> object:
        """Return the service, or None."""
        return services.get(namespace, name)


@_manifest
class ServiceManifest(ManifestOf):
    """The manifest of one service."""

    kind = "Service"

    def manifest(self, namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
        """Return the manifest, or None."""
        return services.manifest_of(namespace, name, written=written)


@_list_of(IngressShape)
class Ingresses(Everywhere):
    """Ingresses of all namespaces."""

    shape = IngressShape

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        return ingresses.select(wanted)


@_in_namespace(IngressShape)
class NamespaceIngresses(InNamespace):
    """Ingresses of one namespace."""

    shape, store = IngressShape, ingress_operations.STORE

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        return ingresses.select(wanted)

    def record(self, namespace: str, name: str) -> object:
        """Return one ingress, or None."""
        return ingresses.get(namespace, name)


@_patchable(IngressShape)
class Ingress(Patchable):
    """One ingress."""

    shape, store = IngressShape, ingress_operations.STORE

    def record(self, namespace: str, name: str) -> object:
        """Return the ingress, or None."""
        return ingresses.get(namespace, name)


@_manifest
class IngressManifest(ManifestOf):
    """The manifest of one ingress."""

    kind = "Ingress"

    def manifest(self, namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
        """Return the manifest, or None."""
        return ingresses.manifest_of(namespace, name, written=written)


@_list_of(SecretShape)
class Secrets(Everywhere):
    """Secrets of all namespaces."""

    shape = SecretShape

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        return ingresses.select_secrets(wanted)


@_in_namespace(SecretShape)
class NamespaceSecrets(InNamespace):
    """Secrets of one namespace."""

    shape, store = SecretShape, secret_operations.STORE

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        return ingresses.select_secrets(wanted)

    def record(self, namespace: str, name: str) -> object:
        """Return one secret, or None."""
        return ingresses.get_secret(namespace, name)


@_one(SecretShape)
class Secret(One):
    """One secret."""

    shape, store = SecretShape, secret_operations.STORE

    def record(self, namespace: str, name: str) -> object:
        """Return the secret, or None."""
        return ingresses.get_secret(namespace, name)

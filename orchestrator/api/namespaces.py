"""Namespaces over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, object_of
from orchestrator.api.views import Answer, ChangingView, ListView
from orchestrator.manifests.manifest import from_object
from orchestrator.operations import namespaces
from orchestrator.operations.deployments import NamespaceNotFound
from orchestrator.queries import namespaces as queries


class NamespaceShape(serializers.Serializer[Any]):
    """A namespace; `deleting` means it goes with the last deployment in it.

    Replicas of an `open` one may be reached directly from every other; its manifest says so.
    """

    name = fields.CharField()
    deleting = fields.BooleanField(read_only=True)
    open = fields.BooleanField(read_only=True)
    created_at = fields.DateTimeField(read_only=True)


class Namespaces(ChangingView, ListView):
    """Namespaces."""

    @extend_schema(responses=NamespaceShape(many=True))
    def get(self, request: Request) -> Response:
        """List namespaces."""
        del request
        return self.page(queries.select(), NamespaceShape)

    @extend_schema(request=NamespaceShape, responses={200: NamespaceShape, 201: NamespaceShape})
    def post(self, request: Request) -> Response:
        """Create a namespace; one that exists already is answered with 200."""
        metadata = {"name": object_of(request).get("name")}
        name = from_object({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}).name

        def make() -> Answer:
            created = namespaces.ensure(name, change_of(request))
            return _shown(name), 201 if created else 200

        return self.change(request, make)


class Namespace(ChangingView):
    """One namespace."""

    @extend_schema(responses=NamespaceShape)
    def get(self, request: Request, namespace: str) -> Response:
        """Return the namespace."""
        del request
        return Response(_shown(namespace))

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request, namespace: str) -> Response:
        """Delete a namespace in which nothing lives."""

        def make() -> Answer:
            if not namespaces.delete(namespace, change_of(request)):
                raise NamespaceNotFound(namespace)
            return None, 204

        return self.change(request, make)


def _shown(name: str) -> dict[str, Any]:
    record = queries.get(name)
    if record is None:
        raise NamespaceNotFound(name)
    return dict(NamespaceShape(record).data)

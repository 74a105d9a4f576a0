"""Objects that are a manifest and nothing more, over HTTP: what services, ingresses, … share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from rest_framework import renderers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from orchestrator.api.bodies import (
    change_of,
    expected_generation,
    is_asked,
    manifest_in,
    object_of,
)
from orchestrator.api.deployments import YamlRenderer
from orchestrator.api.views import Answer, ApiView, ChangingView, ListView
from orchestrator.operations.deployments import NamespaceNotFound
from orchestrator.operations.stored import ObjectNotFound, Store
from orchestrator.queries import namespaces
from orchestrator.queries.rows import Rows

Get = Callable[[str, str], object]


class Everywhere(ListView):
    """Objects of one kind, of all namespaces."""

    shape: ClassVar[type[Serializer[Any]]]
    filters: Mapping[str, tuple[str, ...]] = {"namespace": (), "search": ()}

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        raise NotImplementedError

    def get(self, request: Request) -> Response:
        """List the objects of all namespaces."""
        return self.page(self.rows(self.wanted(request)), self.shape)


class InNamespace(ChangingView, ListView):
    """Objects of one kind, of one namespace."""

    shape: ClassVar[type[Serializer[Any]]]
    store: ClassVar[Store[Any]]
    filters: Mapping[str, tuple[str, ...]] = {"search": ()}

    def rows(self, wanted: Mapping[str, str]) -> Rows[Any]:
        """Return what matches."""
        raise NotImplementedError

    def record(self, namespace: str, name: str) -> object:
        """Return one object, or None."""
        raise NotImplementedError

    def get(self, request: Request, namespace: str) -> Response:
        """List the objects of one namespace."""
        if namespaces.get(namespace) is None:
            raise NamespaceNotFound(namespace)
        return self.page(self.rows({**self.wanted(request), "namespace": namespace}), self.shape)

    def post(self, request: Request, namespace: str) -> Response:
        """Create an object from a manifest."""
        manifest = manifest_in(self.store.kind, namespace, object_of(request))

        def make() -> Answer:
            row = self.store.create(manifest, change_of(request))
            return dict(self.shape(self.record(row.namespace_id, row.name)).data), 201

        return self.change(request, make)


class One(ChangingView):
    """One object."""

    shape: ClassVar[type[Serializer[Any]]]
    store: ClassVar[Store[Any]]

    def record(self, namespace: str, name: str) -> object:
        """Return the object, or None."""
        raise NotImplementedError

    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return the object; the ETag is its generation."""
        del request
        body = self._shown(namespace, name)
        return Response(body, headers={"ETag": f'"{body["generation"]}"'})

    def put(self, request: Request, namespace: str, name: str) -> Response:
        """Replace the manifest, or create the object."""
        manifest = manifest_in(self.store.kind, namespace, object_of(request), name)
        expected = expected_generation(request)

        def make() -> Answer:
            self.store.replace(manifest, change_of(request), generation=expected)
            return self._shown(namespace, name), 200

        return self.change(request, make)

    def delete(self, request: Request, namespace: str, name: str) -> Response:
        """Delete the object."""
        expected = expected_generation(request)

        def make() -> Answer:
            self.store.delete(namespace, name, change_of(request), generation=expected)
            return None, 204

        return self.change(request, make)

    def _shown(self, namespace: str, name: str) -> dict[str, Any]:
        record = self.record(namespace, name)
        if record is None:
            raise ObjectNotFound(self.store.kind, namespace, name)
        return dict(self.shape(record).data)


class Patchable(One):
    """One object whose manifest can be changed in part."""

    def patch(self, request: Request, namespace: str, name: str) -> Response:
        """Apply a JSON merge patch (RFC 7396) to the manifest as it was written."""
        merge, expected = object_of(request), expected_generation(request)

        def make() -> Answer:
            self.store.patch(namespace, name, merge, change_of(request), generation=expected)
            return self._shown(namespace, name), 200

        return self.change(request, make)


class ManifestOf(ApiView):
    """The manifest of one object."""

    renderer_classes = [renderers.JSONRenderer, YamlRenderer]
    kind: ClassVar[str]

    def manifest(self, namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
        """Return the manifest, or None."""
        raise NotImplementedError

    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return it with every default, or as it was written; in JSON or YAML, as accepted."""
        found = self.manifest(namespace, name, written=is_asked(request, "written"))
        if found is None:
            raise ObjectNotFound(self.kind, namespace, name)
        return Response(found)

"""Deployments over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api import shapes
from orchestrator.api.bodies import (
    ChangingView,
    change_of,
    expected_generation,
    manifest_in,
    text_of,
    value_of,
)
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.manifest import parse
from orchestrator.operations import applying, deployments
from orchestrator.operations.deployments import DeploymentNotFound
from orchestrator.queries import deployments as queries

TRUE = {"1", "true", "yes"}
_FILTERS = [OpenApiParameter(name, str) for name in ("namespace", "phase", "search")]
_GENERATION = [OpenApiParameter("generation", int, description="409 unless it is still this one")]


def _shown(namespace: str, name: str) -> dict[str, Any]:
    record = queries.get(namespace, name)
    if record is None:
        raise DeploymentNotFound(namespace, name)
    return dict(shapes.DeploymentShape(record).data)


class Apply(ChangingView):
    """Make, change or delete everything a text of manifests names."""

    @extend_schema(
        request={"application/yaml": OpenApiTypes.STR, "application/json": OpenApiTypes.OBJECT},
        parameters=[OpenApiParameter("dry_run", bool)],
        responses=shapes.ResultsShape,
    )
    def post(self, request: Request) -> Response:
        """Apply manifests: all of them or none."""
        wanted = parse(text_of(request))
        dry_run = request.query_params.get("dry_run", "").lower() in TRUE

        def make() -> tuple[Any, int]:
            saved = applying.apply(wanted, change_of(request), dry_run=dry_run)
            return {"results": shapes.SavedShape(saved, many=True).data}, 200

        return self.change(request, make)

    @extend_schema(request=None, responses=shapes.ResultsShape)
    def delete(self, request: Request) -> Response:
        """Delete what manifests name; the body is the same text as for POST."""
        wanted = parse(text_of(request))

        def make() -> tuple[Any, int]:
            saved = applying.delete(wanted, change_of(request))
            return {"results": shapes.SavedShape(saved, many=True).data}, 200

        return self.change(request, make)


class Deployments(ListAPIView):  # type: ignore[type-arg]
    """Deployments of all namespaces."""

    serializer_class = shapes.DeploymentShape

    @extend_schema(parameters=_FILTERS, operation_id="deployments_list_all")
    def get(self, request: Request, *arguments: Any, **options: Any) -> Response:
        """List deployments."""
        wanted = {key: request.query_params.get(key, "") for key in ("phase", "search")}
        namespace = options.get("namespace") or request.query_params.get("namespace", "")
        rows = self.paginate_queryset(queries.select(namespace=namespace, **wanted))
        records = queries.records(rows or [])
        return self.get_paginated_response(shapes.DeploymentShape(records, many=True).data)


class NamespaceDeployments(ChangingView, Deployments):
    """Deployments of one namespace."""

    @extend_schema(parameters=_FILTERS, operation_id="deployments_list")
    def get(self, request: Request, *arguments: Any, **options: Any) -> Response:
        """List deployments."""
        return super().get(request, *arguments, **options)

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: shapes.DeploymentShape})
    def post(self, request: Request, namespace: str) -> Response:
        """Create a deployment from a manifest."""
        manifest = manifest_in(namespace, value_of(request))

        def make() -> tuple[Any, int]:
            row = deployments.create(manifest, change_of(request))
            return _shown(row.namespace_id, row.name), 201

        return self.change(request, make)


class Deployment(ChangingView):
    """One deployment."""

    @extend_schema(responses=shapes.DeploymentShape)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return the deployment; the ETag is its generation."""
        del request
        body = _shown(namespace, name)
        return Response(body, headers={"ETag": f'"{body["generation"]}"'})

    @extend_schema(
        request=OpenApiTypes.OBJECT, parameters=_GENERATION, responses=shapes.DeploymentShape
    )
    def put(self, request: Request, namespace: str, name: str) -> Response:
        """Replace the manifest, or create the deployment."""
        value = value_of(request)
        if isinstance(value, dict) and isinstance(value.get("metadata"), dict):
            value["metadata"].setdefault("name", name)
        manifest = manifest_in(namespace, value)
        if manifest.name != name:
            raise deployments.DeploymentBusy(
                f'the manifest is of "{manifest.name}", the address of "{name}"'
            )
        expected = expected_generation(request)

        def make() -> tuple[Any, int]:
            deployments.replace(manifest, change_of(request), generation=expected)
            return _shown(namespace, name), 200

        return self.change(request, make)

    @extend_schema(
        request=OpenApiTypes.OBJECT, parameters=_GENERATION, responses=shapes.DeploymentShape
    )
    def patch(self, request: Request, namespace: str, name: str) -> Response:
        """Apply a JSON merge patch (RFC 7396) to the manifest."""
        merge, expected = value_of(request), expected_generation(request)

        def make() -> tuple[Any, int]:
            change = change_of(request)
            deployments.patch(namespace, name, merge, change, generation=expected)
            return _shown(namespace, name), 200

        return self.change(request, make)

    @extend_schema(responses={202: shapes.DeploymentShape})
    def delete(self, request: Request, namespace: str, name: str) -> Response:
        """Stop every replica, then forget the deployment."""

        def make() -> tuple[Any, int]:
            deployments.delete(namespace, name, change_of(request))
            return _shown(namespace, name), 202

        return self.change(request, make)


class Manifest(ChangingView):
    """The manifest of one deployment."""

    @extend_schema(
        parameters=[OpenApiParameter("written", bool), OpenApiParameter("as", str)],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, namespace: str, name: str) -> HttpResponse:
        """Return it with every default (or as written), as JSON, or YAML with `?as=yaml`."""
        written = request.query_params.get("written", "").lower() in TRUE
        manifest = queries.manifest_of(namespace, name, written=written)
        if manifest is None:
            raise DeploymentNotFound(namespace, name)
        if request.query_params.get("as") == "yaml":
            return HttpResponse(manifests.to_yaml(manifest), content_type="application/yaml")
        return Response(manifest)


class _Verb(ChangingView):
    """A change that needs few words."""

    def _run(self, request: Request, namespace: str, name: str, make: Any) -> Response:
        def answer() -> tuple[Any, int]:
            make()
            return _shown(namespace, name), 200

        return self.change(request, answer)

    def _words(self, request: Request, shape: Any) -> dict[str, Any]:
        serializer = shape(data=value_of(request))
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)


class Scale(_Verb):
    """How many replicas are wanted."""

    @extend_schema(request=shapes.ScaleShape, responses=shapes.DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Set the number of replicas."""
        value = value_of(request)
        words, expected = (
            self._words(request, shapes.ScaleShape),
            expected_generation(request, value),
        )
        change = change_of(request)
        return self._run(
            request,
            namespace,
            name,
            lambda: deployments.scale(
                namespace, name, words["replicas"], change, generation=expected
            ),
        )


class Rollback(_Verb):
    """Going back."""

    @extend_schema(request=shapes.RollbackShape, responses=shapes.DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Return to an earlier revision, as a new one."""
        words = self._words(request, shapes.RollbackShape)
        change = change_of(request, words.get("reason", ""))
        target = words.get("revision")
        return self._run(
            request,
            namespace,
            name,
            lambda: deployments.rollback(namespace, name, change, to_revision=target),
        )


class Pause(_Verb):
    """Holding a rollout."""

    @extend_schema(request=shapes.ReasonShape, responses=shapes.DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Hold the rollout; scaling and repair go on."""
        change = change_of(request, self._words(request, shapes.ReasonShape).get("reason", ""))
        return self._run(
            request, namespace, name, lambda: deployments.pause(namespace, name, change)
        )


class Resume(_Verb):
    """Going on."""

    @extend_schema(request=shapes.ReasonShape, responses=shapes.DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Go on with a held rollout."""
        change = change_of(request, self._words(request, shapes.ReasonShape).get("reason", ""))
        return self._run(
            request, namespace, name, lambda: deployments.resume(namespace, name, change)
        )


class Restart(_Verb):
    """Making everything new."""

    @extend_schema(request=shapes.ReasonShape, responses=shapes.DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Replace every replica, as a rollout."""
        change = change_of(request, self._words(request, shapes.ReasonShape).get("reason", ""))
        return self._run(
            request, namespace, name, lambda: deployments.restart(namespace, name, change)
        )


class Revisions(ChangingView):
    """The history of one deployment."""

    @extend_schema(responses=shapes.RevisionShape(many=True))
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return every revision, newest first."""
        del request
        found = queries.revisions(namespace, name)
        if found is None:
            raise DeploymentNotFound(namespace, name)
        body = shapes.RevisionShape(found, many=True).data
        return Response({"count": len(body), "next": None, "previous": None, "results": body})

"""Deployments over HTTP: lists, single ones, manifests and revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, fields, renderers, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import (
    change_of,
    deployment_in,
    expected_generation,
    is_asked,
    object_of,
)
from orchestrator.api.views import Answer, ApiView, ChangingView, ListView
from orchestrator.core.plan import DeploymentPhase
from orchestrator.manifests import deployment as manifests
from orchestrator.operations import deployments
from orchestrator.operations.deployments import DeploymentNotFound, NamespaceNotFound
from orchestrator.queries import deployments as queries
from orchestrator.queries import namespaces

MANIFEST_BODY = {"application/json": OpenApiTypes.OBJECT, "application/yaml": OpenApiTypes.STR}
_IF_MATCH = OpenApiParameter(
    "generation", int, description="409 unless it is still this one; as the header If-Match"
)
_FILTERS = [
    OpenApiParameter("phase", enum=list(DeploymentPhase)),
    OpenApiParameter("search", description="part of the name"),
    OpenApiParameter("label", description="labels it has: `app=web,tier=front`"),
]


class StatusShape(serializers.Serializer[Any]):
    """How a deployment does."""

    phase = fields.CharField()
    message = fields.CharField()
    replicas = fields.IntegerField()
    ready = fields.IntegerField()
    available = fields.IntegerField()
    updated = fields.IntegerField()
    revision = fields.IntegerField()


class DeploymentShape(serializers.Serializer[Any]):
    """A deployment; `spec` is the manifest's with every default.

    `spec.replicas` is the number in force. `scaled_by` is the autoscaler that owns it (empty: the
    manifest does); `declared_replicas` is what the manifest says.
    """

    namespace = fields.CharField()
    name = fields.CharField()
    generation = fields.IntegerField()
    observed_generation = fields.IntegerField()
    labels = fields.DictField(child=fields.CharField())
    spec = fields.DictField()
    scaled_by = fields.CharField()
    declared_replicas = fields.IntegerField(source="declared", allow_null=True)
    status = StatusShape(source="*")
    paused = fields.BooleanField()
    deleting = fields.BooleanField()
    created_at = fields.DateTimeField()
    changed_at = fields.DateTimeField()


class RevisionShape(serializers.Serializer[Any]):
    """A revision; `diff` is against the one before it."""

    number = fields.IntegerField()
    image = fields.CharField()
    author = fields.CharField()
    reason = fields.CharField()
    is_rollback = fields.BooleanField()
    current = fields.BooleanField()
    desired = fields.IntegerField()
    created_at = fields.DateTimeField()
    completed_at = fields.DateTimeField(allow_null=True)
    failed_at = fields.DateTimeField(allow_null=True)
    template = fields.DictField()
    diff = fields.CharField()


def shown(namespace: str, name: str) -> dict[str, Any]:
    """Return the body for one deployment.

    Raises:
        DeploymentNotFound: there is none.
    """
    record = queries.get(namespace, name)
    if record is None:
        raise DeploymentNotFound(namespace, name)
    return dict(DeploymentShape(record).data)


class Deployments(ListView):
    """Deployments of all namespaces."""

    filters: Mapping[str, tuple[str, ...]] = {
        "namespace": (),
        "phase": tuple(DeploymentPhase),
        "search": (),
    }

    @extend_schema(
        parameters=[*_FILTERS, OpenApiParameter("namespace")],
        responses=DeploymentShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """List deployments of all namespaces."""
        return self.page(queries.select(self.wanted(request), _labels(request)), DeploymentShape)


class NamespaceDeployments(ChangingView, ListView):
    """Deployments of one namespace."""

    filters: Mapping[str, tuple[str, ...]] = {"phase": tuple(DeploymentPhase), "search": ()}

    @extend_schema(parameters=_FILTERS, responses=DeploymentShape(many=True))
    def get(self, request: Request, namespace: str) -> Response:
        """List the deployments of one namespace."""
        if namespaces.get(namespace) is None:
            raise NamespaceNotFound(namespace)
        wanted = {**self.wanted(request), "namespace": namespace}
        return self.page(queries.select(wanted, _labels(request)), DeploymentShape)

    @extend_schema(request=MANIFEST_BODY, responses={201: DeploymentShape})
    def post(self, request: Request, namespace: str) -> Response:
        """Create a deployment from a manifest."""
        manifest = deployment_in(namespace, object_of(request))

        def make() -> Answer:
            row = deployments.create(manifest, change_of(request))
            return shown(row.namespace_id, row.name), 201

        return self.change(request, make)


class Deployment(ChangingView):
    """One deployment."""

    @extend_schema(responses=DeploymentShape)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return the deployment; the ETag is its generation."""
        del request
        body = shown(namespace, name)
        return Response(body, headers={"ETag": f'"{body["generation"]}"'})

    @extend_schema(request=MANIFEST_BODY, parameters=[_IF_MATCH], responses=DeploymentShape)
    def put(self, request: Request, namespace: str, name: str) -> Response:
        """Replace the manifest, or create the deployment."""
        manifest = deployment_in(namespace, object_of(request), name)
        expected = expected_generation(request)

        def make() -> Answer:
            deployments.replace(manifest, change_of(request), generation=expected)
            return shown(namespace, name), 200

        return self.change(request, make)

    @extend_schema(
        request={"application/merge-patch+json": OpenApiTypes.OBJECT},
        parameters=[_IF_MATCH],
        responses=DeploymentShape,
    )
    def patch(self, request: Request, namespace: str, name: str) -> Response:
        """Apply a JSON merge patch (RFC 7396) to the manifest as it was written."""
        merge, expected = object_of(request), expected_generation(request)

        def make() -> Answer:
            deployments.patch(namespace, name, merge, change_of(request), generation=expected)
            return shown(namespace, name), 200

        return self.change(request, make)

    @extend_schema(request=None, parameters=[_IF_MATCH], responses={202: DeploymentShape})
    def delete(self, request: Request, namespace: str, name: str) -> Response:
        """Stop every replica, then forget the deployment."""
        expected = expected_generation(request)

        def make() -> Answer:
            deployments.delete(namespace, name, change_of(request), generation=expected)
            return shown(namespace, name), 202

        return self.change(request, make)


class YamlRenderer(renderers.BaseRenderer):
    """Answers in YAML to whoever accepts it; problems stay JSON, as their content type says."""

    media_type = "application/yaml"
    format = "yaml"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the text."""
        context = renderer_context or {}
        if context["response"].exception:
            return bytes(renderers.JSONRenderer().render(data, accepted_media_type, context))
        return manifests.to_yaml(data).encode()


class Manifest(ApiView):
    """The manifest of one deployment."""

    renderer_classes = [renderers.JSONRenderer, YamlRenderer]

    @extend_schema(
        parameters=[OpenApiParameter("written", bool, description="as written, no defaults")],
        responses=OpenApiTypes.OBJECT,
    )
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return it with every default, or as it was written; in JSON or YAML, as accepted."""
        written = is_asked(request, "written")
        manifest = queries.manifest_of(namespace, name, written=written)
        if manifest is None:
            raise DeploymentNotFound(namespace, name)
        return Response(manifest)


class Revisions(ListView):
    """The history of one deployment."""

    @extend_schema(responses=RevisionShape(many=True))
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return every revision, newest first."""
        del request
        found = queries.revisions(namespace, name)
        if found is None:
            raise DeploymentNotFound(namespace, name)
        return self.page(found, RevisionShape)


def _labels(request: Request) -> dict[str, str]:
    pairs = [pair for pair in request.query_params.get("label", "").split(",") if pair]
    if not all("=" in pair for pair in pairs):
        raise exceptions.ParseError("label is written as key=value, several with commas between")
    return dict(pair.split("=", 1) for pair in pairs)

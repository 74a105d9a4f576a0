"""Autoscalers over HTTP: lists, single ones, manifests, and what they decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import fields, renderers, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import (
    change_of,
    expected_generation,
    is_asked,
    manifest_in,
    number_of,
    object_of,
)
from orchestrator.api.deployments import MANIFEST_BODY, YamlRenderer
from orchestrator.api.views import Answer, ApiView, ChangingView, ListView
from orchestrator.operations import autoscalers
from orchestrator.operations.autoscalers import AutoscalerNotFound
from orchestrator.operations.deployments import NamespaceNotFound
from orchestrator.queries import autoscalers as queries
from orchestrator.queries import backtests, namespaces

KIND = "HorizontalPodAutoscaler"
_IF_MATCH = OpenApiParameter(
    "generation", int, description="409 unless it is still this one; as the header If-Match"
)
_SEARCH = OpenApiParameter("search", description="part of the name")
_TARGET = OpenApiParameter("target", description="the deployment it scales")


class AutoscalerShape(serializers.Serializer[Any]):
    """An autoscaler; `spec` is the manifest's with every default.

    `replicas` is the number it owns, null while there is no such deployment. `word` and `message`
    are its latest decision.
    """

    namespace = fields.CharField()
    name = fields.CharField()
    target = fields.CharField()
    generation = fields.IntegerField()
    spec = fields.DictField()
    targets = fields.ListField(child=fields.CharField())
    minimum = fields.IntegerField()
    maximum = fields.IntegerField()
    replicas = fields.IntegerField(allow_null=True)
    word = fields.CharField()
    message = fields.CharField()
    decided_at = fields.DateTimeField(allow_null=True)
    created_at = fields.DateTimeField()
    changed_at = fields.DateTimeField()


class DecisionShape(serializers.Serializer[Any]):
    """One evaluation; `detail` has everything it looked at and its arithmetic."""

    at = fields.DateTimeField()
    current = fields.IntegerField()
    proposed = fields.IntegerField(allow_null=True)
    desired = fields.IntegerField()
    word = fields.CharField()
    message = fields.CharField()
    detail = fields.DictField()


def shown(namespace: str, name: str) -> dict[str, Any]:
    """Return the body for one autoscaler.

    Raises:
        AutoscalerNotFound: there is none.
    """
    record = queries.get(namespace, name)
    if record is None:
        raise AutoscalerNotFound(namespace, name)
    return dict(AutoscalerShape(record).data)


class Autoscalers(ListView):
    """Autoscalers of all namespaces."""

    filters: Mapping[str, tuple[str, ...]] = {"namespace": (), "target": (), "search": ()}

    @extend_schema(
        parameters=[_SEARCH, _TARGET, OpenApiParameter("namespace")],
        responses=AutoscalerShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """List autoscalers of all namespaces."""
        return self.page(queries.select(self.wanted(request)), AutoscalerShape)


class NamespaceAutoscalers(ChangingView, ListView):
    """Autoscalers of one namespace."""

    filters: Mapping[str, tuple[str, ...]] = {"target": (), "search": ()}

    @extend_schema(parameters=[_SEARCH, _TARGET], responses=AutoscalerShape(many=True))
    def get(self, request: Request, namespace: str) -> Response:
        """List the autoscalers of one namespace."""
        if namespaces.get(namespace) is None:
            raise NamespaceNotFound(namespace)
        wanted = {**self.wanted(request), "namespace": namespace}
        return self.page(queries.select(wanted), AutoscalerShape)

    @extend_schema(request=MANIFEST_BODY, responses={201: AutoscalerShape})
    def post(self, request: Request, namespace: str) -> Response:
        """Create an autoscaler from a manifest."""
        manifest = manifest_in(KIND, namespace, object_of(request))

        def make() -> Answer:
            row = autoscalers.create(manifest, change_of(request))
            return shown(row.namespace_id, row.name), 201

        return self.change(request, make)


class Autoscaler(ChangingView):
    """One autoscaler."""

    @extend_schema(responses=AutoscalerShape)
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return the autoscaler; the ETag is its generation."""
        del request
        body = shown(namespace, name)
        return Response(body, headers={"ETag": f'"{body["generation"]}"'})

    @extend_schema(request=MANIFEST_BODY, parameters=[_IF_MATCH], responses=AutoscalerShape)
    def put(self, request: Request, namespace: str, name: str) -> Response:
        """Replace the manifest, or create the autoscaler."""
        manifest = manifest_in(KIND, namespace, object_of(request), name)
        expected = expected_generation(request)

        def make() -> Answer:
            autoscalers.replace(manifest, change_of(request), generation=expected)
            return shown(namespace, name), 200

        return self.change(request, make)

    @extend_schema(
        request={"application/merge-patch+json": OpenApiTypes.OBJECT},
        parameters=[_IF_MATCH],
        responses=AutoscalerShape,
    )
    def patch(self, request: Request, namespace: str, name: str) -> Response:
        """Apply a JSON merge patch (RFC 7396) to the manifest as it was written."""
        merge, expected = object_of(request), expected_generation(request)

        def make() -> Answer:
            autoscalers.patch(namespace, name, merge, change_of(request), generation=expected)
            return shown(namespace, name), 200

        return self.change(request, make)

    @extend_schema(request=None, parameters=[_IF_MATCH], responses={204: None})
    def delete(self, request: Request, namespace: str, name: str) -> Response:
        """Delete it; the number of replicas stays, and is the manifest's from now on."""
        expected = expected_generation(request)

        def make() -> Answer:
            autoscalers.delete(namespace, name, change_of(request), generation=expected)
            return None, 204

        return self.change(request, make)


class Manifest(ApiView):
    """The manifest of one autoscaler."""

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
            raise AutoscalerNotFound(namespace, name)
        return Response(manifest)


class CourseShape(serializers.Serializer[Any]):
    """How many replicas a policy would have had; `flaps` are the turns of its direction."""

    replicas = fields.ListField(child=fields.ListField())
    changes = fields.IntegerField()
    flaps = fields.IntegerField()
    replica_hours = fields.FloatField()
    highest = fields.IntegerField()


class BacktestShape(serializers.Serializer[Any]):
    """What was measured, replayed through the policy as it is and as it would be."""

    seconds = fields.IntegerField()
    resolution = fields.IntegerField()
    present = CourseShape()
    changed = CourseShape()
    note = fields.CharField()


class Backtest(ApiView):
    """What a changed policy would have done."""

    @extend_schema(
        request=MANIFEST_BODY,
        parameters=[OpenApiParameter("seconds", int, description="so far back; 3600 by default")],
        responses=BacktestShape,
    )
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Replay what was measured through the manifest that is sent; nothing is changed."""
        manifest = manifest_in(KIND, namespace, object_of(request), name)
        stated = request.query_params.get("seconds", "3600")
        seconds = number_of(stated, "seconds", at_most=backtests.LONGEST_SECONDS)
        found = backtests.compare(manifest.full, seconds=seconds, now=timezone.now())
        if found is None:
            raise AutoscalerNotFound(namespace, name)
        return Response(BacktestShape(found).data)


class Decisions(ListView):
    """What one autoscaler decided."""

    @extend_schema(
        parameters=[
            OpenApiParameter("changes", bool, description="only those that changed the number")
        ],
        responses=DecisionShape(many=True),
    )
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """Return its evaluations with their arithmetic, newest first."""
        if queries.get(namespace, name) is None:
            raise AutoscalerNotFound(namespace, name)
        changes = is_asked(request, "changes")
        return self.page(queries.decisions(namespace, name, changes=changes), DecisionShape)

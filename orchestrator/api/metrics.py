"""What was measured, over HTTP: series of a deployment, a replica, a node or a service."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import number_of
from orchestrator.api.views import ApiView
from orchestrator.operations.deployments import DeploymentNotFound
from orchestrator.operations.nodes import NodeNotFound
from orchestrator.operations.replicas import ReplicaNotFound
from orchestrator.operations.stored import ObjectNotFound
from orchestrator.queries import metrics, nodes, services
from orchestrator.queries.metrics import Point, ServicePoint, Span

SUBJECTS = ("deployment", "replica", "node", "service")
USUAL_SECONDS = 900
LONGEST_SECONDS = int(metrics.LONGEST.total_seconds())
_PARAMETERS = [
    OpenApiParameter("deployment", description="`NAMESPACE/NAME` (`default` if left out)"),
    OpenApiParameter("replica", description="uid of a replica"),
    OpenApiParameter("node", description="name of a node"),
    OpenApiParameter("service", description="`NAMESPACE/NAME`; answers `requests_of` only"),
    OpenApiParameter("seconds", int, description="so far back from now; 900 by default, ≤ 86400"),
    OpenApiParameter(
        "resolution", int, description="seconds from point to point; by default a hundredth"
    ),
]


class PointShape(serializers.Serializer[Any]):
    """What was used on average until `at`; null where nobody measured it.

    Of a deployment everything is the sum over its replicas.
    """

    at = fields.DateTimeField()
    replicas = fields.IntegerField()
    cpu_millis = fields.IntegerField(allow_null=True)
    memory_bytes = fields.IntegerField(allow_null=True)
    received_per_second = fields.IntegerField(allow_null=True)
    sent_per_second = fields.IntegerField(allow_null=True)
    restarts = fields.IntegerField(allow_null=True)
    cpu_limit_millis = fields.IntegerField(allow_null=True)
    memory_limit_bytes = fields.IntegerField(allow_null=True)
    requests_per_second_millis = fields.IntegerField(allow_null=True)
    requests_in_flight_millis = fields.IntegerField(allow_null=True)


class ServicePointShape(serializers.Serializer[Any]):
    """Requests until `at`: rates in thousandths a second, times in milliseconds.

    `classes` by the first digit of the answer, 1 to 5; `failed` are those that a gateway had to
    answer as no replica could.
    """

    at = fields.DateTimeField()
    per_second_millis = fields.IntegerField()
    classes = fields.ListField(child=fields.IntegerField())
    failed = fields.IntegerField()
    in_flight_millis = fields.IntegerField()
    p50 = fields.FloatField(allow_null=True)
    p90 = fields.FloatField(allow_null=True)
    p99 = fields.FloatField(allow_null=True)


class SeriesShape(serializers.Serializer[Any]):
    """A series, oldest point first.

    `requests` says why nothing is known of requests, and is empty where something is.
    """

    seconds = fields.IntegerField()
    resolution = fields.IntegerField()
    requests = fields.CharField()
    points = PointShape(many=True)
    requests_of = ServicePointShape(many=True, help_text="of a service")


class Metrics(ApiView):
    """What replicas and nodes use."""

    @extend_schema(parameters=_PARAMETERS, responses=SeriesShape)
    def get(self, request: Request) -> Response:
        """Return the series of one deployment, replica, node or service."""
        given = [name for name in SUBJECTS if request.query_params.get(name)]
        if len(given) != 1:
            raise exceptions.ParseError(f"give one of {', '.join(SUBJECTS)}")
        span = _span(request)
        subject, name = given[0], request.query_params[given[0]]
        is_service = subject == "service"
        served = _served(name, span) if is_service else []
        points = [] if is_service else _points(subject, name, span)
        is_known = bool(served) or any(p.requests_per_second_millis is not None for p in points)
        body = {
            "seconds": int((span.end - span.begin).total_seconds()),
            "resolution": span.seconds,
            "requests": "" if is_known else metrics.NO_GATEWAY,
            "points": points,
            "requests_of": served,
        }
        return Response(SeriesShape(body).data)


def _span(request: Request) -> Span:
    stated = request.query_params.get("seconds", str(USUAL_SECONDS))
    seconds = number_of(stated, "seconds", at_most=LONGEST_SECONDS)
    length = timedelta(seconds=max(seconds, metrics.FINEST_SECONDS))
    resolution = request.query_params.get("resolution")
    if resolution is None:
        return Span.latest(timezone.now(), length)
    wanted = number_of(resolution, "resolution", at_most=LONGEST_SECONDS)
    least = max(metrics.FINEST_SECONDS, int(length.total_seconds()) // metrics.MOST_POINTS)
    if wanted < least:
        raise exceptions.ParseError(
            f"resolution={wanted} is too fine for so long a time; use {least} or more"
        )
    return Span.latest(timezone.now(), length, wanted)


def _served(name: str, span: Span) -> list[ServicePoint]:
    namespace, _, service = name.rpartition("/")
    if services.get(namespace or "default", service) is None:
        raise ObjectNotFound("Service", namespace or "default", service)
    return metrics.of_service(namespace or "default", service, span)


def _points(subject: str, name: str, span: Span) -> list[Point]:
    if subject == "node":
        if nodes.get(name) is None:
            raise NodeNotFound(name)
        return metrics.of_node(name, span)
    if subject == "replica":
        found = metrics.of_replica(name, span)
        if found is None:
            raise ReplicaNotFound(name)
        return found
    namespace, _, deployment = name.rpartition("/")
    found = metrics.of_deployment(namespace or "default", deployment, span)
    if found is None:
        raise DeploymentNotFound(namespace or "default", deployment)
    return found

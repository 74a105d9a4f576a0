"""Replicas over HTTP: look, replace, retry. Their logs are in logs.py."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, is_asked
from orchestrator.api.views import Answer, ChangingView, ListView
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.operations import replicas
from orchestrator.operations.deployments import DeploymentNotFound
from orchestrator.queries import deployments as deployment_queries
from orchestrator.queries import replicas as queries
from orchestrator.queries import waiting

_FILTERS = [
    OpenApiParameter("node"),
    OpenApiParameter("phase", enum=list(ReplicaPhase)),
    OpenApiParameter("all", bool, description="gone ones, too"),
]


class ReplicaShape(serializers.Serializer[Any]):
    """A replica; `ports` are pairs of container port and the port to reach it by.

    `origin` says from where it was moved, if it was.
    """

    uid = fields.CharField()
    namespace = fields.CharField()
    deployment = fields.CharField()
    revision = fields.IntegerField()
    slot = fields.IntegerField()
    node = fields.CharField(allow_null=True)
    phase = fields.ChoiceField(list(ReplicaPhase))
    ready = fields.BooleanField()
    reason = fields.CharField()
    message = fields.CharField()
    waiting = fields.CharField()
    note = fields.CharField()
    origin = fields.CharField()
    restarts = fields.IntegerField()
    next_try_at = fields.DateTimeField(allow_null=True)
    address = fields.CharField()
    ports = fields.ListField(child=fields.ListField(child=fields.IntegerField()))
    container_id = fields.CharField()
    exit_code = fields.IntegerField(allow_null=True)
    oom_killed = fields.BooleanField()
    died_at = fields.DateTimeField(allow_null=True)
    created_at = fields.DateTimeField()
    started_at = fields.DateTimeField(allow_null=True)
    finished_at = fields.DateTimeField(allow_null=True)


class NodeExplanationShape(serializers.Serializer[Any]):
    """What one node has against a replica; nothing, when it would take it now."""

    node = fields.CharField()
    objections = fields.ListField(child=fields.CharField())


class ExplanationShape(serializers.Serializer[Any]):
    """Why no node takes a replica: a sentence, every node, and what would help most."""

    message = fields.CharField()
    nodes = NodeExplanationShape(many=True)
    fix = fields.CharField()


class ReplicaDetailShape(ReplicaShape):
    """A replica; `explanation` is there while it waits for a node, and says what is so now.

    `leaving` is what a withdrawn one waits for before it is stopped.
    """

    explanation = ExplanationShape(allow_null=True)
    leaving = fields.CharField()


class Replicas(ListView):
    """Replicas of all deployments."""

    filters = {"namespace": (), "deployment": (), "node": (), "phase": tuple(ReplicaPhase)}

    @extend_schema(
        parameters=[*_FILTERS, OpenApiParameter("namespace"), OpenApiParameter("deployment")],
        responses=ReplicaShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """List replicas; gone ones with `all` or their phase."""
        found = queries.select(self.wanted(request), everything=is_asked(request, "all"))
        return self.page(found, ReplicaShape)


class DeploymentReplicas(ListView):
    """Replicas of one deployment."""

    filters = {"node": (), "phase": tuple(ReplicaPhase)}

    @extend_schema(parameters=_FILTERS, responses=ReplicaShape(many=True))
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """List the replicas of one deployment; gone ones with `all` or their phase."""
        if not deployment_queries.exists(namespace, name):
            raise DeploymentNotFound(namespace, name)
        wanted = {**self.wanted(request), "namespace": namespace, "deployment": name}
        found = queries.select(wanted, everything=is_asked(request, "all"))
        return self.page(found, ReplicaShape)


class Replica(ChangingView):
    """One replica."""

    @extend_schema(responses=ReplicaDetailShape)
    def get(self, request: Request, uid: str) -> Response:
        """Return the replica."""
        del request
        now = timezone.now()
        found = waiting.explanation(uid, now=now)
        shown = ExplanationShape(found).data if found is not None else None
        leaving = waiting.leaving(uid, now=now)
        return Response({**_shown(uid), "explanation": shown, "leaving": leaving})

    @extend_schema(request=None, responses={202: ReplicaShape})
    def delete(self, request: Request, uid: str) -> Response:
        """Stop it; another takes its place."""

        def make() -> Answer:
            replicas.replace(uid, change_of(request))
            return _shown(uid), 202

        return self.change(request, make)


class Retry(ChangingView):
    """Impatience."""

    @extend_schema(request=None, responses={202: ReplicaShape})
    def post(self, request: Request, uid: str) -> Response:
        """Forget the back-off of a crash-looping replica and try again now."""

        def make() -> Answer:
            replicas.retry(uid, change_of(request))
            return _shown(uid), 202

        return self.change(request, make)


def _shown(uid: str) -> dict[str, Any]:
    record = queries.get(uid)
    if record is None:
        raise replicas.ReplicaNotFound(uid)
    return dict(ReplicaShape(record).data)

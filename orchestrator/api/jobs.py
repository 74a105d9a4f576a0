"""Jobs over HTTP: what nodes were told, and what became of it."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.views import ListView
from orchestrator.queries import jobs as queries


class JobShape(serializers.Serializer[Any]):
    """A job."""

    uid = fields.CharField()
    operation = fields.CharField()
    node = fields.CharField()
    namespace = fields.CharField()
    deployment = fields.CharField()
    replica = fields.CharField()
    state = fields.ChoiceField(queries.STATES)
    attempts = fields.IntegerField()
    reason = fields.CharField()
    message = fields.CharField()
    created_at = fields.DateTimeField()
    sent_at = fields.DateTimeField(allow_null=True)
    accepted_at = fields.DateTimeField(allow_null=True)
    finished_at = fields.DateTimeField(allow_null=True)


class Jobs(ListView):
    """Jobs of all nodes."""

    filters = {
        "state": queries.STATES,
        "node": (),
        "namespace": (),
        "deployment": (),
        "replica": (),
    }

    @extend_schema(
        parameters=[
            OpenApiParameter("state", enum=list(queries.STATES)),
            *(OpenApiParameter(name) for name in ("node", "namespace", "deployment", "replica")),
        ],
        responses=JobShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """List jobs, newest first."""
        return self.page(queries.select(self.wanted(request)), JobShape)

"""Events over HTTP: what happened, why, and what caused it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import LARGEST_ID, is_asked, number_of
from orchestrator.api.views import ApiView, ListView
from orchestrator.queries import events as queries
from orchestrator.queries.events import RESULTS, SEVERITIES

_FILTERS = [
    OpenApiParameter("replica"),
    OpenApiParameter("node"),
    OpenApiParameter("reason"),
    OpenApiParameter("severity", enum=list(SEVERITIES)),
    OpenApiParameter("user", description="only what this user did"),
    OpenApiParameter("audit", bool, description="only what people did"),
    OpenApiParameter("since", int, description="only events after the one with this id"),
]


class EventShape(serializers.Serializer[Any]):
    """An event; `cause` is the id of the event that caused it.

    A person's act has a `verb`, the `kind` and `name` of its object, what the person came through
    (`via`: `session` or `token NAME`) and a `result`.
    """

    id = fields.IntegerField()
    at = fields.DateTimeField()
    reason = fields.CharField()
    message = fields.CharField()
    severity = fields.ChoiceField(SEVERITIES)
    actor = fields.CharField()
    namespace = fields.CharField()
    deployment = fields.CharField()
    revision = fields.IntegerField(allow_null=True)
    replica = fields.CharField()
    node = fields.CharField()
    verb = fields.CharField()
    kind = fields.CharField()
    name = fields.CharField()
    via = fields.CharField()
    before = fields.CharField()
    after = fields.CharField()
    result = fields.ChoiceField([*RESULTS, ""])
    cause = fields.IntegerField(allow_null=True)


class EventDetailShape(EventShape):
    """An event and what caused it, the nearest first."""

    cause_chain = EventShape(many=True)


class Events(ListView):
    """Events about everything."""

    filters: Mapping[str, tuple[str, ...]] = {
        "namespace": (),
        "deployment": (),
        "replica": (),
        "node": (),
        "reason": (),
        "severity": SEVERITIES,
        "user": (),
    }

    @extend_schema(
        parameters=[*_FILTERS, OpenApiParameter("namespace"), OpenApiParameter("deployment")],
        responses=EventShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """List events, newest first."""
        return self.page(queries.select(_wanted(self, request), since=_since(request)), EventShape)


class DeploymentEvents(ListView):
    """Events about one deployment; they outlive it, so it need not exist any more."""

    filters: Mapping[str, tuple[str, ...]] = {
        "replica": (),
        "node": (),
        "reason": (),
        "severity": SEVERITIES,
        "user": (),
    }

    @extend_schema(parameters=_FILTERS, responses=EventShape(many=True))
    def get(self, request: Request, namespace: str, name: str) -> Response:
        """List the events of one deployment, newest first; also when it is gone."""
        wanted = {**_wanted(self, request), "namespace": namespace, "deployment": name}
        return self.page(queries.select(wanted, since=_since(request)), EventShape)


class Event(ApiView):
    """One event, with what caused it."""

    @extend_schema(responses=EventDetailShape)
    def get(self, request: Request, pk: int) -> Response:
        """Return the event and its chain of causes, nearest first."""
        del request
        record = queries.get(pk) if pk <= LARGEST_ID else None
        if record is None:
            raise exceptions.NotFound(f"event {pk} does not exist")
        chain = queries.cause_chain(pk) if record.cause is not None else []
        return Response(EventDetailShape({**asdict(record), "cause_chain": chain}).data)


def _wanted(view: ListView, request: Request) -> dict[str, str]:
    wanted = view.wanted(request)
    wanted["actor"] = wanted.pop("user")
    return {**wanted, "audit": "1"} if is_asked(request, "audit") else wanted


def _since(request: Request) -> int:
    return number_of(request.query_params.get("since") or "0", "since")

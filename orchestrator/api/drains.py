"""Emptying nodes over HTTP: what a drain would do, doing it, and how far it is."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, words_of
from orchestrator.api.views import Answer, ChangingView
from orchestrator.operations import draining, nodes
from orchestrator.queries import drains


class MoveShape(serializers.Serializer[Any]):
    """A replica that is still on the node; `blocked` when it cannot leave as things are."""

    namespace = fields.CharField()
    deployment = fields.CharField()
    uid = fields.CharField()
    slot = fields.IntegerField()
    message = fields.CharField()
    blocked = fields.BooleanField()


class DrainShape(serializers.Serializer[Any]):
    """A drain, or what one would do; `drained_at` is when the node was found empty."""

    node = fields.CharField()
    draining = fields.BooleanField()
    started_at = fields.DateTimeField(allow_null=True)
    until = fields.DateTimeField(allow_null=True)
    drained_at = fields.DateTimeField(allow_null=True)
    blocked = fields.IntegerField()
    moves = MoveShape(many=True)


class DrainWords(serializers.Serializer[Any]):
    """After how many seconds everything that is left stops; by default never. And why."""

    deadline_seconds = fields.IntegerField(required=False, allow_null=True)
    reason = fields.CharField(required=False, allow_blank=True, max_length=1000)


class Drain(ChangingView):
    """Emptying a node."""

    @extend_schema(responses=DrainShape)
    def get(self, request: Request, name: str) -> Response:
        """Return how far the drain is, or what one would do."""
        del request
        return Response(_shown(name))

    @extend_schema(request=DrainWords, responses=DrainShape)
    def post(self, request: Request, name: str) -> Response:
        """Close the node and move everything off it; uncordon it to end that."""
        words = words_of(request, DrainWords)
        change = change_of(request, words.get("reason", ""))
        deadline = words.get("deadline_seconds")

        def make() -> Answer:
            draining.drain(name, change, deadline_seconds=deadline)
            return _shown(name), 200

        return self.change(request, make)


def _shown(name: str) -> dict[str, Any]:
    found = drains.get(name, now=timezone.now())
    if found is None:
        raise nodes.NodeNotFound(name)
    return dict(DrainShape(found).data)

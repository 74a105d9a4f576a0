"""Rebalancing over HTTP: what would be moved, doing it, how far it is, calling it off."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import TRUE, change_of, words_of
from orchestrator.api.views import Answer, ChangingView
from orchestrator.operations import rebalancing
from orchestrator.queries import rebalances

_PLAN = OpenApiParameter("plan", bool, description="only say what would be moved now")


class SpreadShape(serializers.Serializer[Any]):
    """Pairs of replicas of one deployment on one node; thousandths reserved of two nodes."""

    pairs = fields.IntegerField()
    fullest = fields.IntegerField()
    emptiest = fields.IntegerField()


class RebalanceMoveShape(serializers.Serializer[Any]):
    """One move: its gain and its cost in numbers and words, and how far it is.

    `pairs` and `relief` are what is gained: fewer pairs on one node, thousandths the fuller node is
    less reserved. For about `seconds` one replica more runs, or `fewer` serve.
    """

    namespace = fields.CharField()
    deployment = fields.CharField()
    uid = fields.CharField()
    slot = fields.IntegerField()
    from_node = fields.CharField(source="source")
    to_node = fields.CharField(source="target")
    pairs = fields.IntegerField()
    relief = fields.IntegerField()
    gain = fields.CharField()
    seconds = fields.IntegerField()
    fewer = fields.IntegerField()
    cost = fields.CharField()
    state = fields.ChoiceField(rebalances.MOVE_STATES)
    message = fields.CharField()
    successor = fields.CharField()


class RebalanceShape(serializers.Serializer[Any]):
    """A proposal, or the latest rebalance; `digest` names a proposal, `skipped` who has no part.

    `is_cut` tells that more could be gained after these moves.
    """

    id = fields.IntegerField(allow_null=True)
    state = fields.ChoiceField(rebalances.STATES)
    message = fields.CharField()
    digest = fields.CharField()
    asked_by = fields.CharField()
    asked_at = fields.DateTimeField(allow_null=True)
    ended_at = fields.DateTimeField(allow_null=True)
    before = SpreadShape()
    after = SpreadShape()
    moves = RebalanceMoveShape(many=True)
    skipped = fields.ListField(child=fields.CharField())
    is_cut = fields.BooleanField()


class RebalanceWords(serializers.Serializer[Any]):
    """The proposal that was looked at (any, when it is left out). And why."""

    digest = fields.CharField(required=False, allow_blank=True, max_length=64)
    reason = fields.CharField(required=False, allow_blank=True, max_length=1000)


class Rebalance(ChangingView):
    """Rebalancing the nodes."""

    @extend_schema(parameters=[_PLAN], responses=RebalanceShape)
    def get(self, request: Request) -> Response:
        """Return the latest rebalance and how far it is; with `?plan`, what would be moved now."""
        return Response(_proposed() if _is_plan(request) else _latest())

    @extend_schema(parameters=[_PLAN], request=RebalanceWords, responses=RebalanceShape)
    def post(self, request: Request) -> Response:
        """Move what is proposed, replacements first; with `?plan`, only say what that is."""
        if _is_plan(request):
            return Response(_proposed())
        words = words_of(request, RebalanceWords)
        change = change_of(request, words.get("reason", ""))

        def make() -> Answer:
            rebalancing.begin(change, digest=words.get("digest", ""))
            return _latest(), 200

        return self.change(request, make)

    @extend_schema(request=None, responses=RebalanceShape)
    def delete(self, request: Request) -> Response:
        """Begin no further move; what has moved stays."""

        def make() -> Answer:
            rebalancing.cancel(change_of(request))
            return _latest(), 200

        return self.change(request, make)


def _is_plan(request: Request) -> bool:
    return request.query_params.get("plan", "no").lower() in {"", *TRUE}


def _proposed() -> dict[str, Any]:
    return dict(RebalanceShape(rebalances.proposed(now=timezone.now())).data)


def _latest() -> dict[str, Any]:
    return dict(RebalanceShape(rebalances.latest()).data)

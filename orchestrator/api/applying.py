"""Whole texts of manifests over HTTP: applied or deleted, all or nothing."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, is_asked, text_of
from orchestrator.api.deployments import MANIFEST_BODY
from orchestrator.api.views import Answer, ChangingView
from orchestrator.manifests.manifest import parse
from orchestrator.operations import applying
from orchestrator.operations.deployments import Saved

_DRY_RUN = OpenApiParameter("dry_run", bool, description="tell what would be done, and do nothing")


class SavedShape(serializers.Serializer[Any]):
    """What was done to one object; `diff` is unified, of the YAML forms.

    `note` says what was not done, and why: a number of replicas that an autoscaler owns, say.
    """

    kind = fields.CharField()
    namespace = fields.CharField()
    name = fields.CharField()
    action = fields.ChoiceField(["created", "configured", "unchanged", "deleted", "absent"])
    generation = fields.IntegerField()
    diff = fields.CharField()
    note = fields.CharField()


class ResultsShape(serializers.Serializer[Any]):
    """What was done to each object, in the order of the text."""

    results = SavedShape(many=True)


class Apply(ChangingView):
    """Make, change or delete everything a text of manifests names."""

    @extend_schema(request=MANIFEST_BODY, parameters=[_DRY_RUN], responses=ResultsShape)
    def post(self, request: Request) -> Response:
        """Make everything as the manifests say: all of them or none."""
        wanted = parse(text_of(request))
        dry_run = is_asked(request, "dry_run")

        def make() -> Answer:
            return _results(applying.apply(wanted, change_of(request), dry_run=dry_run))

        return self.change(request, make)

    @extend_schema(request=MANIFEST_BODY, parameters=[_DRY_RUN], responses=ResultsShape)
    def delete(self, request: Request) -> Response:
        """Delete what the manifests name; the body is the same text as for POST."""
        wanted = parse(text_of(request))
        dry_run = is_asked(request, "dry_run")

        def make() -> Answer:
            return _results(applying.delete(wanted, change_of(request), dry_run=dry_run))

        return self.change(request, make)


def _results(saved: list[Saved]) -> Answer:
    return {"results": SavedShape(saved, many=True).data}, 200

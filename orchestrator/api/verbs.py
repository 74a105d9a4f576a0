"""Changes to a deployment that need few words: scale, roll back, pause, resume, restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, expected_generation, object_of
from orchestrator.api.deployments import DeploymentShape, shown
from orchestrator.api.views import Answer, ChangingView
from orchestrator.core.spec import MAX_REPLICAS
from orchestrator.operations import deployments


class WordsShape(serializers.Serializer[Any]):
    """Why, in somebody's words; and the generation it must still be (or the header If-Match)."""

    reason = fields.CharField(required=False, allow_blank=True, max_length=1000)
    generation = fields.IntegerField(required=False, min_value=0)


class ScaleShape(WordsShape):
    """How many replicas are wanted."""

    replicas = fields.IntegerField(min_value=0, max_value=MAX_REPLICAS)


class RollbackShape(WordsShape):
    """Which revision to go back to; by default the latest that completed."""

    revision = fields.IntegerField(
        source="to_revision", required=False, allow_null=True, min_value=1, max_value=2**31 - 1
    )


class _Verb(ChangingView):
    """Reads the words, makes the change, and answers with the deployment."""

    shape: type[WordsShape] = WordsShape

    def perform(
        self, request: Request, namespace: str, name: str, act: Callable[..., object]
    ) -> Response:
        """Call an operation with what the words say besides reason and generation."""
        value = object_of(request)
        serializer = self.shape(data=value)
        serializer.is_valid(raise_exception=True)
        words = dict(serializer.validated_data)
        change = change_of(request, words.pop("reason", ""))
        words["generation"] = expected_generation(request, value)

        def make() -> Answer:
            act(namespace, name, change=change, **words)
            return shown(namespace, name), 200

        return self.change(request, make)


class Scale(_Verb):
    """How many replicas are wanted."""

    shape = ScaleShape

    @extend_schema(request=ScaleShape, responses=DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Set the number of replicas."""
        return self.perform(request, namespace, name, deployments.scale)


class Rollback(_Verb):
    """Going back."""

    shape = RollbackShape

    @extend_schema(request=RollbackShape, responses=DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Return to an earlier revision, as a new one."""
        return self.perform(request, namespace, name, deployments.rollback)


class Pause(_Verb):
    """Holding a rollout."""

    @extend_schema(request=WordsShape, responses=DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Hold the rollout; scaling and repair go on."""
        return self.perform(request, namespace, name, deployments.pause)


class Resume(_Verb):
    """Going on."""

    @extend_schema(request=WordsShape, responses=DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Go on with a held rollout; its deadline starts anew."""
        return self.perform(request, namespace, name, deployments.resume)


class Restart(_Verb):
    """Making everything new."""

    @extend_schema(request=WordsShape, responses=DeploymentShape)
    def post(self, request: Request, namespace: str, name: str) -> Response:
        """Replace every replica by a new one of the same template, as a rollout."""
        return self.perform(request, namespace, name, deployments.restart)

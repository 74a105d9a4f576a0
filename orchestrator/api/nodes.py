"""Nodes over HTTP: look, label, taint, cordon, uncordon."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, object_of
from orchestrator.api.views import Answer, ChangingView, ListView
from orchestrator.core.constraints import TaintEffect
from orchestrator.core.lifecycle import NodeState
from orchestrator.manifests import node_change
from orchestrator.operations import node_marks, nodes
from orchestrator.queries import nodes as queries


class TaintShape(serializers.Serializer[Any]):
    """A mark that keeps replicas away which do not tolerate it."""

    key = fields.CharField()
    value = fields.CharField(required=False)
    effect = fields.ChoiceField(list(TaintEffect))


class MarksShape(serializers.Serializer[Any]):
    """Labels to set (null takes one away), and all taints the node shall have."""

    labels = fields.DictField(child=fields.CharField(allow_null=True), required=False)
    taints = TaintShape(many=True, required=False)


class NodeShape(serializers.Serializer[Any]):
    """A node; `strangers` are containers it runs that nobody knows of.

    What is reserved is what its replicas request; what is used is null unless measured lately. A
    node that is `silent_since` a moment is given up at `lost_due_at` unless it answers, and not
    while it is `doubted` that it is the one that failed. `refusal` says why messages in its name
    were dropped, the last time at `refused_at`.
    """

    name = fields.CharField()
    state = fields.ChoiceField(list(NodeState))
    cordoned = fields.BooleanField()
    draining = fields.BooleanField()
    drained_at = fields.DateTimeField(allow_null=True)
    lost_at = fields.DateTimeField(allow_null=True)
    doubted = fields.BooleanField()
    silent_since = fields.DateTimeField(allow_null=True)
    lost_due_at = fields.DateTimeField(allow_null=True)
    refusal = fields.CharField()
    refused_at = fields.DateTimeField(allow_null=True)
    labels = fields.DictField(child=fields.CharField())
    given_labels = fields.DictField(child=fields.CharField())
    taints = TaintShape(many=True)
    runtimes = fields.ListField(child=fields.CharField())
    notes = fields.ListField(child=fields.CharField())
    strangers = fields.ListField(child=fields.CharField())
    cpu_millis = fields.IntegerField()
    memory_bytes = fields.IntegerField()
    cpu_millis_reserved = fields.IntegerField()
    memory_bytes_reserved = fields.IntegerField()
    cpu_millis_used = fields.IntegerField(allow_null=True)
    memory_bytes_used = fields.IntegerField(allow_null=True)
    replicas = fields.IntegerField()
    release = fields.CharField()
    address = fields.CharField()
    joined_at = fields.DateTimeField()
    seen_at = fields.DateTimeField()


class Nodes(ListView):
    """Nodes."""

    @extend_schema(responses=NodeShape(many=True))
    def get(self, request: Request) -> Response:
        """List nodes."""
        del request
        return self.page(queries.select(), NodeShape)


class Node(ChangingView):
    """One node."""

    @extend_schema(responses=NodeShape)
    def get(self, request: Request, name: str) -> Response:
        """Return the node."""
        del request
        return Response(_shown(name))

    @extend_schema(request=MarksShape, responses=NodeShape)
    def patch(self, request: Request, name: str) -> Response:
        """Set or take away labels, replace the taints; what runs there stays."""

        def make() -> Answer:
            wanted = node_change.read(object_of(request))
            node_marks.change_marks(name, wanted, change_of(request))
            return _shown(name), 200

        return self.change(request, make)


class Cordon(ChangingView):
    """Closing a node."""

    cordoned = True

    @extend_schema(request=None, responses=NodeShape)
    def post(self, request: Request, name: str) -> Response:
        """Close the node to new replicas; what runs there stays."""
        return self._set(request, name)

    def _set(self, request: Request, name: str) -> Response:
        def make() -> Answer:
            nodes.set_cordoned(name, change_of(request), cordoned=self.cordoned)
            return _shown(name), 200

        return self.change(request, make)


class Forget(ChangingView):
    """Writing a node off."""

    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request, name: str) -> Response:
        """Write off a node that will not come back; what ran there is taken for gone."""

        def make() -> Answer:
            nodes.forget(name, change_of(request))
            return None, 204

        return self.change(request, make)


class Uncordon(Cordon):
    """Opening a node."""

    cordoned = False

    @extend_schema(request=None, responses=NodeShape)
    def post(self, request: Request, name: str) -> Response:
        """Open the node to new replicas again."""
        return self._set(request, name)


def _shown(name: str) -> dict[str, Any]:
    record = queries.get(name)
    if record is None:
        raise nodes.NodeNotFound(name)
    return dict(NodeShape(record).data)

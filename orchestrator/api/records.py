"""Replicas, nodes, jobs, events and namespaces over HTTP."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api import shapes
from orchestrator.api.bodies import ChangingView, change_of, value_of
from orchestrator.manifests.manifest import from_object
from orchestrator.operations import namespaces, nodes, replicas
from orchestrator.operations.accounts import Role
from orchestrator.operations.deployments import DeploymentNotFound, NamespaceNotFound
from orchestrator.queries import deployments as deployment_queries
from orchestrator.queries import records as queries


def _parameters(*names: str) -> list[OpenApiParameter]:
    return [OpenApiParameter(name, str) for name in names]


class _List(ListAPIView):  # type: ignore[type-arg]
    """A list that may belong to one deployment."""

    def _wanted(self) -> dict[str, str]:
        wanted = {key: str(value) for key, value in self.request.query_params.items() if value}
        if "name" in self.kwargs:
            namespace, name = self.kwargs["namespace"], self.kwargs["name"]
            if deployment_queries.get(namespace, name) is None and self.must_exist:
                raise DeploymentNotFound(namespace, name)
            wanted |= {"namespace": namespace, "deployment": name}
        return wanted

    must_exist = True


@extend_schema(parameters=_parameters("namespace", "deployment", "node", "phase", "all"))
class Replicas(_List):
    """Replicas; gone ones with `?all=true` or `?phase=stopped`."""

    serializer_class = shapes.ReplicaShape

    def get_queryset(self) -> Any:
        """Return the rows that were asked for."""
        everything = "all" in self.request.query_params
        return queries.replicas(self._wanted(), everything=everything)


class Replica(ChangingView):
    """One replica."""

    @extend_schema(responses=shapes.ReplicaShape)
    def get(self, request: Request, uid: str) -> Response:
        """Return the replica."""
        del request
        return Response(_replica(uid))

    @extend_schema(responses={202: shapes.ReplicaShape})
    def delete(self, request: Request, uid: str) -> Response:
        """Stop it; another takes its place."""

        def make() -> tuple[Any, int]:
            replicas.replace(uid, change_of(request))
            return _replica(uid), 202

        return self.change(request, make)


class Retry(ChangingView):
    """Impatience."""

    @extend_schema(request=None, responses={202: shapes.ReplicaShape})
    def post(self, request: Request, uid: str) -> Response:
        """Forget the back-off of a crash-looping replica and try again now."""

        def make() -> tuple[Any, int]:
            replicas.retry(uid, change_of(request))
            return _replica(uid), 202

        return self.change(request, make)


def _replica(uid: str) -> dict[str, Any]:
    row = queries.replicas({}, everything=True).filter(uid=uid).first()
    if row is None:
        raise replicas.ReplicaNotFound(uid)
    return dict(shapes.ReplicaShape(row).data)


class Nodes(_List):
    """Nodes."""

    serializer_class = shapes.NodeShape

    def get_queryset(self) -> Any:
        """Return every node."""
        return queries.nodes()


class Node(ChangingView):
    """One node."""

    @extend_schema(responses=shapes.NodeShape)
    def get(self, request: Request, name: str) -> Response:
        """Return the node."""
        del request
        return Response(_node(name))


class Cordon(ChangingView):
    """Closing a node."""

    write_role = Role.ADMIN
    cordoned = True

    @extend_schema(request=None, responses=shapes.NodeShape)
    def post(self, request: Request, name: str) -> Response:
        """Close the node to new replicas, or open it again."""

        def make() -> tuple[Any, int]:
            nodes.set_cordoned(name, change_of(request), cordoned=self.cordoned)
            return _node(name), 200

        return self.change(request, make)


class Uncordon(Cordon):
    """Opening a node."""

    cordoned = False


def _node(name: str) -> dict[str, Any]:
    row = queries.nodes().filter(name=name).first()
    if row is None:
        raise nodes.NodeNotFound(name)
    return dict(shapes.NodeShape(row).data)


@extend_schema(parameters=_parameters("state", "node", "deployment", "replica"))
class Jobs(_List):
    """Jobs, newest first."""

    serializer_class = shapes.JobShape

    def get_queryset(self) -> Any:
        """Return the rows that were asked for."""
        return queries.jobs(self._wanted())


@extend_schema(
    parameters=_parameters(
        "namespace", "deployment", "replica", "node", "reason", "severity", "since"
    )
)
class Events(_List):
    """Events, newest first; they outlive the deployment they are about."""

    serializer_class = shapes.EventShape
    must_exist = False

    def get_queryset(self) -> Any:
        """Return the rows that were asked for."""
        since = self.request.query_params.get("since", "0")
        if not since.isdigit():
            raise exceptions.ParseError(f"since={since!r} is not the id of an event")
        return queries.events(self._wanted(), since=int(since))


class Event(ChangingView):
    """One event, with what caused it."""

    @extend_schema(responses=shapes.EventChainShape)
    def get(self, request: Request, pk: int) -> Response:
        """Return the event as `event`, and its chain of causes, nearest first."""
        del request
        row = queries.events({}).filter(pk=pk).first()
        if row is None:
            raise exceptions.NotFound(f"event {pk} does not exist")
        chain = {"event": row, "causes": queries.cause_chain(row)}
        return Response(shapes.EventChainShape(chain).data)


class Namespaces(ChangingView, _List):
    """Namespaces."""

    serializer_class = shapes.NamespaceShape

    def get_queryset(self) -> Any:
        """Return every namespace."""
        return deployment_queries.namespaces()

    @extend_schema(responses={201: shapes.NamespaceShape})
    def post(self, request: Request) -> Response:
        """Create a namespace."""
        value = value_of(request)
        name = value.get("name") if isinstance(value, dict) else None
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}

        manifest = from_object(body)

        def make() -> tuple[Any, int]:
            created = namespaces.ensure(manifest.name, change_of(request))
            return _namespace(manifest.name), 201 if created else 200

        return self.change(request, make)


class Namespace(ChangingView):
    """One namespace."""

    @extend_schema(responses=shapes.NamespaceShape)
    def get(self, request: Request, namespace: str) -> Response:
        """Return the namespace."""
        del request
        return Response(_namespace(namespace))

    @extend_schema(responses={204: None})
    def delete(self, request: Request, namespace: str) -> Response:
        """Delete an empty namespace."""

        def make() -> tuple[Any, int]:
            if not namespaces.delete(namespace, change_of(request)):
                raise NamespaceNotFound(namespace)
            return None, 204

        return self.change(request, make)


def _namespace(name: str) -> dict[str, Any]:
    row = deployment_queries.namespaces().filter(name=name).first()
    if row is None:
        raise NamespaceNotFound(name)
    return dict(shapes.NamespaceShape(row).data)

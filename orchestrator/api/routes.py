"""Routes and gateways over HTTP, to look at only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.traffic import EndpointShape, PortShape
from orchestrator.api.views import ListView
from orchestrator.queries import gateways, services


class RouteShape(serializers.Serializer[Any]):
    """Where a service leads: who is in rotation, who is not and why.

    `generation` is when that last changed, `unconfirmed` are the nodes whose gateways do not have
    it yet.
    """

    namespace = fields.CharField()
    service = fields.CharField(source="name")
    generation = fields.IntegerField(source="routes_generation")
    unconfirmed = fields.ListField(child=fields.CharField())
    addresses = fields.ListField(child=fields.CharField())
    ports = PortShape(many=True)
    endpoints = EndpointShape(many=True)
    warning = fields.CharField()


class GatewayShape(serializers.Serializer[Any]):
    """What routes on a node: the generation it has confirmed, and what it cannot do."""

    node = fields.CharField()
    node_state = fields.CharField()
    generation = fields.IntegerField()
    latest_generation = fields.IntegerField()
    ways = fields.ListField(child=fields.CharField())
    busy = fields.ListField(child=fields.CharField())
    message = fields.CharField()
    behind = fields.BooleanField()
    confirmed_at = fields.DateTimeField()


class Routes(ListView):
    """Where services lead."""

    filters: Mapping[str, tuple[str, ...]] = {"namespace": (), "search": ()}

    @extend_schema(
        parameters=[
            OpenApiParameter("namespace"),
            OpenApiParameter("search", description="part of the service's name"),
        ],
        responses=RouteShape(many=True),
    )
    def get(self, request: Request) -> Response:
        """List the routes of every service."""
        return self.page(services.select(self.wanted(request)), RouteShape)


class Gateways(ListView):
    """What routes on each node."""

    @extend_schema(responses=GatewayShape(many=True))
    def get(self, request: Request) -> Response:
        """List the gateways of all nodes."""
        del request
        return self.page(gateways.select(), GatewayShape)

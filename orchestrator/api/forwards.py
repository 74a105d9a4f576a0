"""Forward a TCP connection over HTTP: one request streams what comes, further ones send."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, fields, serializers
from rest_framework.request import Request

from orchestrator.api.bodies import object_of
from orchestrator.api.errors import plain_response
from orchestrator.api.views import checked
from orchestrator.operations import accounts, port_forwards
from orchestrator.operations.connections import borrowed

BYTES = "application/octet-stream"
CONNECTION = "Kijabi-Connection"


class PortShape(serializers.Serializer[Any]):
    """The port of the container."""

    port = fields.IntegerField(min_value=1, max_value=65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which port somebody wants to reach."""

    actor: str
    via: str
    port: int


# Not exempt in truth: `checked` asks for the token of whoever comes with a session's login.
@csrf_exempt
async def forward(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Connect to a port of a replica; the answer streams what it sends."""
    try:
        wish = await borrowed(_wish, request)
        connection = await port_forwards.connect(uid, wish.port, actor=wish.actor, via=wish.via)
    except Exception as error:  # noqa: BLE001, this view has no other exception handler
        return plain_response(error, request)
    headers = {
        "X-Accel-Buffering": "no",
        "Cache-Control": "no-store",
        CONNECTION: connection.name,
    }
    return StreamingHttpResponse(connection.pieces(), content_type=BYTES, headers=headers)


@csrf_exempt
async def send(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Send bytes into a connection that was opened before; with `end` nothing more will come."""
    del uid
    try:
        asker = await borrowed(_plainly_checked, request)
        await port_forwards.push(
            request.GET.get("connection", ""),
            str(asker.user),
            request.body,
            is_end=request.GET.get("end", "") == "true",
        )
    except Exception as error:  # noqa: BLE001, as above
        return plain_response(error, request)
    return HttpResponse(status=204)


def _plainly_checked(plain: HttpRequest) -> Request:
    return checked(plain, {"POST"})


def _wish(plain: HttpRequest) -> Wish:
    request = checked(plain, {"POST"})
    if "Idempotency-Key" in request.headers:
        raise exceptions.ParseError("no Idempotency-Key can be used here: bytes are not kept")
    serializer = PortShape(data=object_of(request))
    serializer.is_valid(raise_exception=True)
    return Wish(
        actor=str(request.user),
        via=accounts.via_of(request.user),
        port=serializer.validated_data["port"],
    )

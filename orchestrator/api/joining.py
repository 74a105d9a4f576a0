"""Joining a machine over HTTP: an administrator makes a token, the machine uses it, once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import fields, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from orchestrator.api.bodies import change_of, text_of, words_of
from orchestrator.api.errors import BodyTooLarge
from orchestrator.api.views import ApiView, ChangingView, refuse_key
from orchestrator.operations import joining

LARGEST_REQUEST = 4096


class MadeJoinTokenShape(serializers.Serializer[Any]):
    """A join token made just now: `token` is its text, `command` what to run on the machine."""

    id = fields.IntegerField()
    token = fields.CharField()
    command = fields.CharField()
    expires_at = fields.DateTimeField()


class MachineShape(serializers.Serializer[Any]):
    """What a machine says of itself; the keys are public ones, in hexadecimal."""

    token = fields.CharField(max_length=200)
    name = fields.CharField(max_length=200)
    check_key = fields.CharField(max_length=64)
    seal_key = fields.CharField(max_length=64)
    version = fields.IntegerField(min_value=0, max_value=2**31)


class WelcomeShape(serializers.Serializer[Any]):
    """What the machine needs to be a node; `broker` holds a secret. `now` is our clock."""

    node = fields.CharField()
    cluster = fields.CharField()
    control_key = fields.CharField()
    broker = fields.CharField()
    version = fields.IntegerField()
    now = fields.FloatField()


class JoinTokens(ChangingView):
    """Tokens with which machines join."""

    @extend_schema(request=None, responses={201: MadeJoinTokenShape})
    def post(self, request: Request) -> Response:
        """Make a token that lets one machine join within ten minutes; it is shown once."""
        refuse_key(request)
        made = joining.make_token(change_of(request))
        shown = {"id": made.id, "token": made.text, "expires_at": made.expires_at}
        command = joining.command(made.text, address_of(request))
        return Response({**shown, "command": command}, status=201)


class Join(ApiView):
    """Where a machine joins; its token is all it has to show."""

    authentication_classes = ()
    permission_classes = ()

    @extend_schema(request=MachineShape, responses={201: WelcomeShape}, auth=[])
    def post(self, request: Request) -> Response:
        """Let a machine in, once for its token; the answer holds its login at the broker."""
        if len(text_of(request)) > LARGEST_REQUEST:
            # Whoever asks has shown nothing yet, and reading a large body costs seconds.
            raise BodyTooLarge(f"a request to join has at most {LARGEST_REQUEST} bytes")
        words = words_of(request, MachineShape)
        token = words.pop("token")
        now = timezone.now()
        host = urlsplit(address_of(request)).hostname or ""
        machine = joining.Machine(**words, host=host)
        welcome = joining.join(token, machine, now=now)
        return Response({**asdict(welcome), "now": now.timestamp()}, status=201)


def address_of(request: HttpRequest | Request) -> str:
    """Return the address under which whoever asks reaches us."""
    return str(request.build_absolute_uri("/")).rstrip("/")

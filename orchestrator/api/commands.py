"""Run a command in a replica over HTTP: one JSON object a line, the last one says how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions, fields, serializers

from orchestrator.api.bodies import object_of
from orchestrator.api.errors import plain_response
from orchestrator.api.views import checked
from orchestrator.operations import accounts, command_runs
from orchestrator.operations.commands import MAX_SECONDS, MAX_WORDS, USUAL_SECONDS
from orchestrator.operations.connections import borrowed

LINES = "application/x-ndjson"


class Word(fields.CharField):
    """One word of a command, as it is: a number is not a word."""

    def to_internal_value(self, data: Any) -> str:
        """Return the word.

        Raises:
            ValidationError: it is something else.
        """
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class CommandShape(serializers.Serializer[Any]):
    """A program and its arguments, and how many seconds it may take."""

    command = fields.ListField(
        child=Word(trim_whitespace=False), min_length=1, max_length=MAX_WORDS
    )
    timeout_seconds = fields.IntegerField(min_value=1, max_value=MAX_SECONDS, default=USUAL_SECONDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to run."""

    actor: str
    via: str
    argv: list[str]
    timeout_seconds: int


# Not exempt in truth: `checked` asks for the token of whoever comes with a session's login.
@csrf_exempt
async def execute(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Run a command in a replica; a client that leaves ends it."""
    try:
        wish = await borrowed(_wish, request)
        items = await command_runs.run(
            uid, wish.argv, actor=wish.actor, via=wish.via, timeout_seconds=wish.timeout_seconds
        )
    except Exception as error:  # noqa: BLE001, this view has no other exception handler
        return plain_response(error, request)
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingHttpResponse(
        command_runs.json_lines(items), content_type=LINES, headers=headers
    )


def _wish(plain: HttpRequest) -> Wish:
    request = checked(plain, {"POST"})
    if "Idempotency-Key" in request.headers:
        raise exceptions.ParseError(
            "no Idempotency-Key can be used here: the output of a command is not kept"
        )
    serializer = CommandShape(data=object_of(request))
    serializer.is_valid(raise_exception=True)
    words = serializer.validated_data
    return Wish(
        actor=str(request.user),
        via=accounts.via_of(request.user),
        argv=words["command"],
        timeout_seconds=words["timeout_seconds"],
    )

"""Run a command in a replica from a page: the output is shown when it has ended.

With scripts, `command.js` asks `stream` and shows it while it comes.
"""

from __future__ import annotations

import shlex
from contextlib import aclosing

from asgiref.sync import async_to_sync
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    StreamingHttpResponse,
)
from django.utils.translation import gettext as _

from orchestrator.operations import command_runs
from orchestrator.operations.access import why_not
from orchestrator.operations.accounts import SESSION
from orchestrator.operations.command_runs import BrokerUnavailable, Ending, Item, NodeSilent
from orchestrator.operations.commands import CommandInvalid
from orchestrator.operations.connections import borrowed
from orchestrator.queries import replicas
from webui import presenters
from webui.pages import MISTAKES, act, found, sentence, show
from webui.views.acts import whole

# Somebody without scripts waits for the whole answer.
LONGEST_SECONDS = 60
REFUSALS = (*MISTAKES, CommandInvalid, BrokerUnavailable, NodeSilent, ValueError)


@act("replica-exec")
def run(request: HttpRequest, uid: str) -> HttpResponse:
    """Run the command and show what it said."""
    record = found(replicas.get(uid), f'replica "{uid}" does not exist')
    text = request.POST.get("command", "")
    items: list[Item] = []
    refused = ""
    try:
        seconds = min(whole(request.POST.get("seconds", "30")), LONGEST_SECONDS)
        items = async_to_sync(_collect)(uid, _split(text), request.user.get_username(), seconds)
    except REFUSALS as error:
        refused = sentence(error)
    context = {
        "replica": record,
        "look": presenters.of_replica(record),
        "runs": True,
        "command": text,
        "output": "".join(item.text for item in items if not isinstance(item, Ending)),
        "ending": next((item.message for item in items if isinstance(item, Ending)), refused),
        "failed": bool(refused),
    }
    return show(request, "command", context, topics="")


async def stream(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Run the command and pass on what it says while it says it, a JSON object a line."""
    if request.method != "POST":
        return HttpResponse(status=405, headers={"Allow": "POST"})
    refused = await borrowed(_why_not, request)
    if refused:
        return _told(refused, 403)
    try:
        seconds = whole(request.POST.get("seconds", "30"))
        argv = _split(request.POST.get("command", ""))
        actor = await borrowed(_name_of, request)
        items = await command_runs.run(uid, argv, actor=actor, via=SESSION, timeout_seconds=seconds)
    except REFUSALS as error:
        return _told(sentence(error), 422)
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingHttpResponse(
        command_runs.json_lines(items), content_type="application/x-ndjson", headers=headers
    )


def _why_not(request: HttpRequest) -> str:
    return why_not(request.user, "replica-exec")


def _name_of(request: HttpRequest) -> str:
    return request.user.get_username()


def _told(why: str, status: int) -> HttpResponse:
    return HttpResponse(why, status=status, content_type="text/plain; charset=utf-8")


async def _collect(uid: str, argv: list[str], actor: str, seconds: int) -> list[Item]:
    items = await command_runs.run(uid, argv, actor=actor, via=SESSION, timeout_seconds=seconds)
    async with aclosing(items):
        return [item async for item in items]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise CommandInvalid(
            _("this cannot be split into words: %(error)s") % {"error": error}
        ) from None

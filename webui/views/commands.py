"""Run a command in a replica from a page: the output is shown when it has ended.

With scripts, `command.js` shows it while it comes, over the API's address for the same thing.
"""

from __future__ import annotations

import shlex
from contextlib import aclosing

from asgiref.sync import async_to_sync
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from orchestrator.operations import command_runs
from orchestrator.operations.command_runs import BrokerUnavailable, Ending, Item, NodeSilent
from orchestrator.operations.commands import CommandInvalid
from orchestrator.queries import replicas
from webui import presenters
from webui.pages import MISTAKES, act, sentence, show
from webui.views.acts import whole

# Somebody without scripts waits for the whole answer.
LONGEST_SECONDS = 60
REFUSALS = (*MISTAKES, CommandInvalid, BrokerUnavailable, NodeSilent, ValueError)


@act("replica-exec")
def run(request: HttpRequest, uid: str) -> HttpResponse:
    """Run the command and show what it said."""
    record = replicas.get(uid)
    if record is None:
        raise Http404(f'replica "{uid}" does not exist')
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
        "command": text,
        "output": "".join(item.text for item in items if not isinstance(item, Ending)),
        "ending": next((item.message for item in items if isinstance(item, Ending)), refused),
        "failed": bool(refused),
    }
    return show(request, "command", context, topics="")


async def _collect(uid: str, argv: list[str], actor: str, seconds: int) -> list[Item]:
    items = await command_runs.run(uid, argv, actor=actor, timeout_seconds=seconds)
    async with aclosing(items):
        return [item async for item in items]


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise CommandInvalid(
            _("this cannot be split into words: %(error)s") % {"error": error}
        ) from None

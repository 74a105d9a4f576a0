"""What people do to deployments and replicas: the targets of the pages' forms."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.core.spec import MAX_REPLICAS
from orchestrator.operations import deployments, replicas
from orchestrator.operations.access import why_not
from webui.pages import MISTAKES, Mistyped, act, back, change, origin, sentence

MOST_AT_ONCE = 100
MOST_DIGITS = 9
BULK = {
    "restart": "deployment-restart",
    "stop": "deployment-scale",
    "pause": "deployment-pause",
    "resume": "deployment-resume",
    "delete": "deployment",
}


@act("deployment-scale")
def scale(request: HttpRequest, namespace: str, name: str) -> str:
    """Set the number of replicas."""
    number = whole(request.POST.get("replicas", ""))
    before = deployments.scale(namespace, name, number, change(request))
    said = ngettext(
        "%(name)s is asked to run %(n)d replica", "%(name)s is asked to run %(n)d replicas", number
    )
    return said % {"name": before.name, "n": number}


@act("deployment-pause")
def pause(request: HttpRequest, namespace: str, name: str) -> str:
    """Hold the rollout."""
    deployments.pause(namespace, name, change(request))
    return _("%(name)s is paused: nothing moves to another revision") % {"name": name}


@act("deployment-resume")
def resume(request: HttpRequest, namespace: str, name: str) -> str:
    """Go on with the rollout."""
    deployments.resume(namespace, name, change(request))
    return _("%(name)s goes on") % {"name": name}


@act("deployment-restart")
def restart(request: HttpRequest, namespace: str, name: str) -> str:
    """Replace every replica, as a rollout."""
    deployments.restart(namespace, name, change(request))
    return _("%(name)s restarts, replica by replica") % {"name": name}


@act("deployment-rollback")
def rollback(request: HttpRequest, namespace: str, name: str) -> str:
    """Return to an earlier revision, as a new one."""
    number = request.POST.get("revision", "")
    target = whole(number) if number else None
    resume = bool(request.POST.get("resume"))
    row = deployments.rollback(namespace, name, change(request), to_revision=target, resume=resume)
    return _("%(name)s goes back; that is revision %(n)d") % {"name": name, "n": row.revision}


@act("deployment", "DELETE")
def delete(request: HttpRequest, namespace: str, name: str) -> str | HttpResponse:
    """Stop every replica and forget the deployment, when its name was typed."""
    if request.POST.get("typed", "").strip() != name:
        raise Mistyped(
            _("Type the name, %(name)s, to delete it. Nothing was done.") % {"name": name}
        )
    deployments.delete(namespace, name, change(request))
    return _("%(name)s is being deleted") % {"name": name}


@act("deployments", "GET")
def bulk(request: HttpRequest) -> str | HttpResponse:
    """Do one thing to every ticked deployment; deleting asks for a typed word first."""
    verb = request.POST.get("verb", "")
    items = request.POST.getlist("item")[:MOST_AT_ONCE]
    if verb not in BULK or not items:
        raise Mistyped(_("Tick at least one deployment and choose what to do."))
    if refused := why_not(request.user, BULK[verb], "DELETE" if verb == "delete" else "POST"):
        raise Mistyped(refused)
    word = f"delete {len(items)}"
    if verb == "delete" and request.POST.get("typed", "").strip() != word:
        context = {"items": items, "word": word, "next": origin(request)}
        return render(request, "webui/bulk_delete.html", {**context, "topics": ""})
    failed = [text for item in items if (text := _do(verb, item, request))]
    for text in failed:
        messages.error(request, text)
    done = len(items) - len(failed)
    if failed and not done:
        return back(request)
    return _said(verb, done)


def _said(verb: str, number: int) -> str:
    """Return the sentence that tells what was done to so many deployments."""
    sentences = {
        "restart": ngettext("%(n)d deployment restarts", "%(n)d deployments restart", number),
        "stop": ngettext("%(n)d deployment stops", "%(n)d deployments stop", number),
        "pause": ngettext("%(n)d deployment is paused", "%(n)d deployments are paused", number),
        "resume": ngettext("%(n)d deployment goes on", "%(n)d deployments go on", number),
        "delete": ngettext(
            "%(n)d deployment is being deleted", "%(n)d deployments are being deleted", number
        ),
    }
    return sentences[verb] % {"n": number}


def _do(verb: str, item: str, request: HttpRequest) -> str:
    namespace, _slash, name = item.partition("/")
    try:
        if verb == "stop":
            deployments.scale(namespace, name, 0, change(request))
        else:
            getattr(deployments, verb)(namespace, name, change(request))
    except MISTAKES as error:
        return sentence(error)
    return ""


@act("replica-retry")
def retry(request: HttpRequest, uid: str) -> str:
    """Try a crash-looping replica now."""
    replicas.retry(uid, change(request))
    return _("replica %(uid)s is tried again now") % {"uid": uid}


@act("replica", "DELETE")
def replace(request: HttpRequest, uid: str) -> str:
    """Stop a replica for good; another takes its place."""
    replicas.replace(uid, change(request))
    return _("replica %(uid)s is replaced") % {"uid": uid}


def whole(text: str) -> int:
    """Read a number of a form.

    Raises:
        Mistyped: it is none, or out of range.
    """
    digits = text.strip()
    if not digits.isdecimal() or len(digits) > MOST_DIGITS or int(digits) > MAX_REPLICAS:
        raise Mistyped(
            _('"%(text)s" is no whole number from 0 to %(most)d; nothing was changed')
            % {"text": text[:40], "most": MAX_REPLICAS}
        )
    return int(digits)

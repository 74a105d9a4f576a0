"""Apply manifests of any kind: write, see what would change, then make it so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.manifest import Manifest, parse
from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.operations import applying
from orchestrator.operations.access import why_not
from orchestrator.operations.deployments import Saved
from orchestrator.queries import deployments, ingresses, services
from webui import starters
from webui.pages import MISTAKES, change, forbidden, sentence, show

WRITTEN = {"service": services.manifest_of, "ingress": ingresses.manifest_of}


@login_required
def apply(request: HttpRequest) -> HttpResponse:
    """Show the text to write, what it would change, or carry it out."""
    if refused := why_not(request.user, "apply"):
        return forbidden(request, refused)
    if request.method != "POST":
        return _write(request, _begun(request), [])
    text = request.POST.get("draft", "").replace("\r\n", "\n")
    if request.POST.get("step") == "write":
        return _write(request, text, [])
    try:
        wanted = parse(text)
        is_trial = request.POST.get("step") != "apply"
        saved = applying.apply(wanted, change(request), dry_run=is_trial)
    except ManifestInvalid as error:
        return _write(request, text, error.problems, status=422)
    except MISTAKES as error:
        return _write(request, text, [sentence(error)], status=422)
    return _review(request, text, saved) if is_trial else _done(request, wanted, saved)


def _begun(request: HttpRequest) -> str:
    """Return the text to begin with: something that is there, or a pattern.

    Raises:
        Http404: what is to be changed is not there.
    """
    word, name = request.GET.get("kind", ""), request.GET.get("name", "")
    namespace = request.GET.get("namespace", "default")
    if request.GET.get("expose"):
        full = deployments.manifest_of(namespace, request.GET["expose"], written=False)
        return starters.service_for(_there(full))
    if request.GET.get("lead"):
        full = services.manifest_of(namespace, request.GET["lead"], written=False)
        port = _there(full)["spec"]["ports"][0]["port"]
        return starters.ingress_for(namespace, request.GET["lead"], port)
    if name and word in WRITTEN:
        written = _there(WRITTEN[word](namespace, name, written=True))
        return manifests.to_yaml(written)
    return starters.STARTERS.get(word, "")


def _there(manifest: dict[str, Any] | None) -> dict[str, Any]:
    if manifest is None:
        raise Http404(_("What you want to change does not exist any more."))
    return manifest


def _write(
    request: HttpRequest, text: str, problems: Sequence[object], status: int = 200
) -> HttpResponse:
    context = {"text": text, "problems": problems}
    return show(request, "apply", context, topics="", status=status)


def _review(request: HttpRequest, text: str, saved: Sequence[Saved]) -> HttpResponse:
    changes = sum(item.action != "unchanged" for item in saved)
    context = {"text": text, "saved": saved, "changes": changes}
    return show(request, "apply_review", context, topics="")


def _done(request: HttpRequest, wanted: Sequence[Manifest], saved: Sequence[Saved]) -> HttpResponse:
    number = sum(item.action != "unchanged" for item in saved)
    said = ngettext("%(n)d object is as written now", "%(n)d objects are as written now", number)
    messages.success(request, said % {"n": number} if number else _("Nothing had to be changed"))
    for note in filter(None, (item.note for item in saved)):
        messages.warning(request, note)
    return redirect(_place_of(wanted[-1]) if len(wanted) == 1 else reverse("webui:events"))


def _place_of(manifest: Manifest) -> str:
    """Return the page that shows what was applied."""
    if manifest.kind in {"Deployment", "Service", "Ingress"}:
        return reverse(f"webui:{manifest.kind.lower()}", args=[manifest.namespace, manifest.name])
    return reverse("webui:namespaces" if manifest.kind == "Namespace" else "webui:services")

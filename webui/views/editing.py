"""Create and edit a deployment: a form and YAML over one draft, a review, then the change.

The draft is the YAML text and travels with the page; nothing is kept on the server. A form's
fields are written into it whenever they are posted, so both sides always show the same draft.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.documents import read
from orchestrator.manifests.manifest import Manifest, from_object, parse
from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.operations import deployments as operations
from orchestrator.operations.access import why_not
from orchestrator.operations.deployments import GenerationConflict
from orchestrator.queries import deployments as queries
from orchestrator.queries import nodes
from webui.forms import DeploymentForm, changed, initial_of, merged
from webui.pages import MISTAKES, change, forbidden, sentence
from webui.views.deployments import find

STARTER = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 2
  selector:
    matchLabels: {app: web}
  template:
    metadata:
      labels: {app: web}
    spec:
      containers:
      - name: main
        image: shop/web:1.4.2
        ports:
        - containerPort: 8080
"""


@dataclass(slots=True)
class Draft:
    """What somebody is writing; `base` is the generation it began from (0: a new deployment)."""

    text: str
    base: int = 0
    namespace: str = ""
    name: str = ""
    mode: str = "form"
    form: DeploymentForm | None = None
    problems: list[Any] = field(default_factory=list)


@login_required
def new(request: HttpRequest) -> HttpResponse:
    """Create a deployment."""
    if refused := why_not(request.user, "apply"):
        return forbidden(request, refused)
    if request.method == "POST":
        return _go_on(request, _posted(request, Draft(text="")))
    mode = "yaml" if request.GET.get("mode") == "yaml" else "form"
    draft = Draft(text=STARTER if mode == "yaml" else "", mode=mode)
    draft.form = DeploymentForm(initial={"replicas": 2, "namespace": "default"})
    return _edit(request, draft)


@login_required
def edit(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Change a deployment."""
    if refused := why_not(request.user, "deployment", "PUT"):
        return forbidden(request, refused)
    record = find(namespace, name)
    draft = Draft(text="", base=record.generation, namespace=namespace, name=name)
    if request.method == "POST":
        return _go_on(request, _posted(request, draft))
    written = queries.manifest_of(namespace, name, written=True) or {}
    draft.text = manifests.to_yaml(written)
    draft.mode = "yaml" if request.GET.get("mode") == "yaml" else "form"
    draft.form = DeploymentForm(initial=initial_of(written))
    return _edit(request, draft)


def _posted(request: HttpRequest, draft: Draft) -> Draft:
    """Take the draft a page carried; a form's fields are written into its text."""
    draft.text = request.POST.get("draft", "").replace("\r\n", "\n")
    draft.mode = "yaml" if request.POST.get("mode") == "yaml" else "form"
    base = request.POST.get("base", "")
    # A page without a sound generation began from nothing known: it meets whatever is there.
    draft.base = int(base) if base.isdecimal() and len(base) < 10 else 0
    if draft.mode == "form" and "image" in request.POST:
        draft.form = DeploymentForm(request.POST)
        if draft.form.is_valid():
            before = _value(draft.text)
            fields = changed(before, request.POST)
            if fields or not before:
                after = merged(before, draft.form.cleaned_data, fields)
                draft.text = manifests.to_yaml(after)
        else:
            draft.problems.append(_("The form has mistakes; they are marked below."))
    return draft


def _go_on(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Do what the pressed button says: the other side, the review, or the change itself."""
    step = request.POST.get("step", "review")
    if step in {"form", "yaml"}:
        return _turn(request, draft, step)
    manifest = _check(draft)
    if manifest is None:
        return _edit(request, draft, status=422)
    if step == "deploy":
        return _deploy(request, draft, manifest)
    return _review(request, draft, manifest)


def _turn(request: HttpRequest, draft: Draft, step: str) -> HttpResponse:
    """Show the draft's other side, unless that would lose something."""
    documents = _documents(draft.text)
    value = _first(documents)
    if step == "form" and draft.text.strip() and not value:
        # A form over what cannot be read would begin from nothing, and lose the text.
        draft.problems.append(_("This cannot be shown as a form until it is a YAML mapping."))
    if step == "form" and len(documents) > 1:
        draft.problems.append(_("Write exactly one manifest of kind Deployment here."))
    if not draft.problems:
        draft.mode = step
        draft.form = DeploymentForm(initial=initial_of(value))
        if step == "form" and _has_comments(draft.text):
            messages.warning(request, _("Comments in the YAML go as soon as a field is changed."))
    return _edit(request, draft)


def _check(draft: Draft) -> Manifest | None:
    """Read the draft strictly; its faults go into `problems`."""
    if draft.problems:
        return None
    try:
        found = parse(draft.text)
        if len(found) != 1 or found[0].kind != "Deployment":
            draft.problems.append(_("Write exactly one manifest of kind Deployment here."))
            return None
        if draft.name and (found[0].namespace, found[0].name) != (draft.namespace, draft.name):
            draft.problems.append(
                _("A deployment cannot be renamed: leave %(name)s as it is, or create another one.")
                % {"name": f"{draft.namespace}/{draft.name}"}
            )
            return None
    except ManifestInvalid as error:
        draft.problems += error.problems
        draft.form = draft.form or DeploymentForm(initial=initial_of(_value(draft.text)))
        return None
    return found[0]


def _review(request: HttpRequest, draft: Draft, manifest: Manifest) -> HttpResponse:
    present = queries.manifest_of(manifest.namespace, manifest.name, written=True)
    record = queries.get(manifest.namespace, manifest.name)
    if record is not None and not draft.name:
        draft.problems.append(
            _("%(name)s exists already; open it and edit it there.") % {"name": manifest.name}
        )
        return _edit(request, draft, status=422)
    moved = record is not None and record.generation != draft.base
    context = {
        "draft": draft,
        "manifest": manifest,
        "diff": manifests.diff_lines(present, manifest.written),
        "record": record,
        "moved": moved,
        "generation": record.generation if record is not None else 0,
        "warnings": _warnings(manifest),
        "impact": _impact(present, manifest),
        "topics": "",
    }
    return render(request, "webui/review.html", context, status=409 if moved else 200)


def _deploy(request: HttpRequest, draft: Draft, manifest: Manifest) -> HttpResponse:
    try:
        if draft.name:
            operations.replace(manifest, change(request), generation=draft.base)
        else:
            operations.create(manifest, change(request))
    except GenerationConflict:
        return _review(request, draft, manifest)
    except MISTAKES as error:
        draft.problems.append(sentence(error))
        return _edit(request, draft, status=422)
    messages.success(request, _("%(name)s is on its way") % {"name": manifest.name})
    return redirect("webui:deployment", manifest.namespace, manifest.name)


def _edit(request: HttpRequest, draft: Draft, status: int = 200) -> HttpResponse:
    if draft.form is None:
        draft.form = DeploymentForm(initial=initial_of(_value(draft.text)))
    context = {"draft": draft, "form": draft.form, "topics": ""}
    return render(request, "webui/edit.html", context, status=status)


def _value(text: str) -> dict[str, Any]:
    """Return the draft's first document as plain values, however wrong; {} when unreadable."""
    return _first(_documents(text))


def _documents(text: str) -> list[Any]:
    with suppress(ManifestInvalid):
        return [document.value for document in read(text, [])]
    return []


def _first(documents: list[Any]) -> dict[str, Any]:
    first = documents[0] if documents else {}
    return first if isinstance(first, dict) else {}


def _has_comments(text: str) -> bool:
    return any(line.lstrip().startswith("#") or " #" in line for line in text.splitlines())


def _warnings(manifest: Manifest) -> list[str]:
    """Return what is allowed but often regretted."""
    template = manifests.template_of(manifest.full)
    container = template["spec"]["containers"][0]
    image = manifests.image_of(template)
    found = []
    if image != "host" and (":" not in image.rpartition("/")[2] or image.endswith(":latest")):
        found.append(_("The image has no fixed tag: two replicas may run different things."))
    if not container.get("readinessProbe"):
        found.append(_("No readiness probe: a replica counts as ready as soon as it runs."))
    limits = (container.get("resources") or {}).get("limits") or {}
    if "memory" not in limits:
        found.append(_("No memory limit: one replica can take the whole node's memory."))
    if not any(node.state == "ready" and not node.cordoned for node in nodes.select()[:500]):
        found.append(_("No node takes replicas now: they will wait for one."))
    return found


def _impact(present: dict[str, Any] | None, manifest: Manifest) -> str:
    """Return in one sentence what the change does to what runs."""
    count = manifests.spec_of(manifest.full).replicas
    if present is None:
        return ngettext("Starts %(n)d replica.", "Starts %(n)d replicas.", count) % {"n": count}
    before = from_object(present)
    old = manifests.template_of(before.full)
    new = manifests.template_of(manifest.full)
    if manifests.rollout_hash(old) != manifests.rollout_hash(new):
        said = ngettext(
            "Replaces %(n)d replica, as the update strategy says.",
            "Replaces %(n)d replicas, as the update strategy says.",
            count,
        )
        return said % {"n": count}
    if old != new:
        return _("Changes limits in place; nothing restarts.")
    was = manifests.spec_of(before.full).replicas
    if was != count:
        said = ngettext(
            "Goes from %(was)d to %(n)d replica; nothing else restarts.",
            "Goes from %(was)d to %(n)d replicas; nothing else restarts.",
            count,
        )
        return said % {"was": was, "n": count}
    return _("Nothing that runs is touched.")

"""The pages: what runs, and how each deployment does. They only look."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from orchestrator.queries import deployments, events, nodes, replicas

SHOWN = 200


@require_GET
@login_required
def overview(request: HttpRequest) -> HttpResponse:
    """Show every deployment and node, and what happened latest."""
    page = {
        "deployments": deployments.select({})[:SHOWN],
        "nodes": nodes.select()[:SHOWN],
        "events": events.select({})[:20],
    }
    return render(request, "webui/overview.html", page)


@require_GET
@login_required
def deployment(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show one deployment: its replicas, revisions and events."""
    record = deployments.get(namespace, name)
    if record is None:
        raise Http404(f'deployment "{name}" does not exist in namespace "{namespace}"')
    wanted = {"namespace": namespace, "deployment": name}
    page = {
        "deployment": record,
        "replicas": replicas.select(wanted)[:SHOWN],
        "revisions": deployments.revisions(namespace, name),
        "events": events.select(wanted)[:50],
    }
    return render(request, "webui/deployment.html", page)

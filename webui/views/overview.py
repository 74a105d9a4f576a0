"""The overview: what needs somebody, what moves, the sums, the nodes, and what happened last."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from orchestrator.queries import events, jobs, nodes, overview
from webui.pages import page, show
from webui.pictures import activity


@page("deployments")
def index(request: HttpRequest) -> HttpResponse:
    """Show the whole cluster on one page."""
    sums, found = overview.sums(), overview.interesting()
    context = {
        "sums": sums,
        "troubles": found.troubles,
        "moving": found.moving,
        "newest": found.newest,
        "nodes": nodes.select()[:200],
        "jobs": jobs.counts(),
        "events": events.select({})[:10],
        "picture": activity() if sums.deployments else None,
    }
    return show(request, "overview", context)

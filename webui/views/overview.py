"""The overview: what needs somebody, what moves, the sums, the nodes, and what happened last."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from orchestrator.queries import deployments, events, jobs, nodes, overview
from webui.pages import page, show
from webui.pictures import activity


@page("deployments")
def index(request: HttpRequest) -> HttpResponse:
    """Show the whole cluster on one page."""
    sums = overview.sums()
    troubled = overview.troubles()
    known = {trouble.deployment.name for trouble in troubled}
    context = {
        "sums": sums,
        "troubles": troubled,
        "moving": [record for record in overview.moving() if record.name not in known],
        "nodes": nodes.select()[:200],
        "loads": {load.name: load for load in overview.loads()},
        "jobs": jobs.counts(),
        "oldest": jobs.oldest_open(),
        "events": events.select({})[:10],
        "picture": activity() if sums.deployments else None,
        "newest": deployments.newest(5),
    }
    return show(request, "overview", context)

"""The overview: what needs somebody, what moves, the sums, the nodes, and what happened last."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from orchestrator.core.lifecycle import NodeState
from orchestrator.queries import events, jobs, nodes, overview
from webui.pages import page, show
from webui.pictures import activity

MOST_NODES = 500


@page("deployments")
def index(request: HttpRequest) -> HttpResponse:
    """Show the whole cluster on one page."""
    sums, found = overview.sums(), overview.interesting()
    found_nodes = nodes.select()[:MOST_NODES]
    context = {
        "sums": sums,
        "troubles": found.troubles,
        "moving": found.moving,
        "newest": found.newest,
        "nodes": found_nodes,
        "silent": [node for node in found_nodes if node.state != NodeState.READY],
        "nodes_ready": sum(node.state == NodeState.READY for node in found_nodes),
        "cpu_millis": sum(node.cpu_millis for node in found_nodes),
        "cpu_millis_reserved": sum(node.cpu_millis_reserved for node in found_nodes),
        "memory_bytes": sum(node.memory_bytes for node in found_nodes),
        "memory_bytes_reserved": sum(node.memory_bytes_reserved for node in found_nodes),
        "jobs": jobs.counts(),
        "events": events.select({})[:10],
        "picture": activity() if sums.deployments else None,
    }
    return show(request, "overview", context)

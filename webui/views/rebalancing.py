"""The page on which nodes are rebalanced: the plan before, the progress, and its buttons."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.operations import rebalancing
from orchestrator.queries import rebalances
from webui.pages import act, change, page, show


@page("node-rebalance")
def show_rebalance(request: HttpRequest) -> HttpResponse:
    """Show what a rebalance would move, or how far the running one is."""
    latest = rebalances.latest()
    running = latest.state == "running"
    plan = latest if running else rebalances.proposed(now=timezone.now())
    context = {"plan": plan, "running": running, "latest": latest}
    return show(request, "rebalance", context)


@act("node-rebalance")
def start(request: HttpRequest) -> str:
    """Carry out the plan that the page showed."""
    digest = request.POST.get("digest", "")[:64]
    rebalancing.begin(change(request), digest=digest)
    return _("replicas are being moved, each replacement serving first")


@act("node-rebalance", "DELETE")
def cancel(request: HttpRequest) -> str:
    """Begin no further move."""
    rebalancing.cancel(change(request))
    return _("the rebalance is cancelled; what has moved stays where it is")

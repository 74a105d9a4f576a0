"""Pages of nodes, and what people do to them: cordon, drain, forget, label and taint."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.core.lifecycle import NodeState
from orchestrator.operations import draining, joining, node_marks, nodes
from orchestrator.queries import drains, events, jobs, replicas, waiting
from orchestrator.queries import joining as join_queries
from orchestrator.queries import nodes as queries
from orchestrator.queries.nodes import NodeRecord
from webui.marks import Marks
from webui.node_presenters import of_node
from webui.pages import MISTAKES, Mistyped, act, change, found, page, paged, sentence, show

BESIDE = 10
MOST_NODES = 500
MOST_WAITING = 5
MOST_DIGITS = 9
# Deployments on a page of a drain: the planner is asked about each.
PLANNED = 10
# In the session: the command that lets a machine join, for as long as it is good.
JOIN_TOKEN = "join_token"  # noqa: S105, a key's name


@page("nodes")
def node_list(request: HttpRequest) -> HttpResponse:
    """Show all nodes: a map by state, then a list, and how another machine becomes one."""
    everyone = queries.select()[:MOST_NODES]
    context = {
        "nodes": everyone,
        "page": paged(request, everyone, 100),
        "waiting": waiting.longest(MOST_WAITING),
        "joining": _joining(request),
    }
    return show(request, "nodes", context)


def _joining(request: HttpRequest) -> dict[str, object] | None:
    """Return what became of the token made last; its text is shown until it was used or is old."""
    kept = request.session.get(JOIN_TOKEN)
    if kept is None:
        return None
    record = join_queries.get(kept["id"])
    if record is None or record.expires_at < timezone.now():
        del request.session[JOIN_TOKEN]
        return None
    return {**kept, "record": record}


@page("node")
def node(request: HttpRequest, name: str) -> HttpResponse:
    """Show one node and what runs there."""
    record = _find(name)
    context = {
        "node": record,
        "look": of_node(record),
        "page": paged(request, replicas.select({"node": name})),
        "events": events.select({"node": name})[:BESIDE],
        "jobs": jobs.select({"node": name})[:BESIDE],
        "waiting": waiting.longest(MOST_WAITING),
        "marks": Marks.of(record),
    }
    return show(request, "node", context)


@page("node-drain")
def drain(request: HttpRequest, name: str) -> HttpResponse:
    """Show what a drain would do, or how far it is; some deployments at a time."""
    loads = drains.loads(name)
    some = paged(request, loads, PLANNED)
    record = drains.get(name, now=timezone.now(), among=list(some))
    context = {
        "drain": found(record, f'node "{name}" does not exist'),
        "page": some,
        "left": sum(load.replicas for load in loads),
    }
    return show(request, "drain", context)


@page("node-forget")
def forget(request: HttpRequest, name: str) -> HttpResponse:
    """Say what forgetting a node means, and ask for its name."""
    record = _find(name)
    context = {"node": record, "is_heard": record.state == NodeState.READY}
    return show(request, "forget", context)


@page("node")
def marks(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form of a node's labels and taints by itself."""
    record = _find(name)
    return show(request, "marks", {"node": record, "marks": Marks.of(record)}, topics="")


@act("join-tokens")
def add_node(request: HttpRequest) -> HttpResponse:
    """Make a token with which one machine may join; the page of nodes shows the command."""
    made = joining.make_token(change(request))
    address = request.build_absolute_uri("/").rstrip("/")
    request.session[JOIN_TOKEN] = {
        "id": made.id,
        "command": joining.command(made.text, address),
        "is_local": request.get_host().partition(":")[0] in {"127.0.0.1", "localhost"},
    }
    return redirect("webui:nodes")


@act("node-cordon")
def cordon(request: HttpRequest, name: str) -> str:
    """Close a node to new replicas."""
    nodes.set_cordoned(name, change(request), cordoned=True)
    return _("node %(name)s takes no new replicas") % {"name": name}


@act("node-uncordon")
def uncordon(request: HttpRequest, name: str) -> str:
    """Open a node again."""
    nodes.set_cordoned(name, change(request), cordoned=False)
    return _("node %(name)s takes new replicas again") % {"name": name}


@act("node-drain")
def start_drain(request: HttpRequest, name: str) -> str:
    """Move everything off a node, replacements first."""
    text = request.POST.get("deadline", "").strip()
    if text and (not text.isdecimal() or len(text) > MOST_DIGITS):
        raise Mistyped(
            _('"%(text)s" is no whole number of seconds; nothing was changed') % {"text": text[:40]}
        )
    draining.drain(name, change(request), deadline_seconds=int(text) if text else None)
    return _("node %(name)s is being drained") % {"name": name}


@act("node-forget")
def confirm_forget(request: HttpRequest, name: str) -> str:
    """Write a node off, when its name was typed."""
    if request.POST.get("typed", "").strip() != name:
        raise Mistyped(
            _("Type the name, %(name)s, to forget it. Nothing was done.") % {"name": name}
        )
    nodes.forget(name, change(request))
    return _("node %(name)s is forgotten") % {"name": name}


@act("node", "PATCH")
def save_marks(request: HttpRequest, name: str) -> str | HttpResponse:
    """Change the labels and taints people gave; what cannot be is shown beside what was typed."""
    record = _find(name)
    typed = Marks.typed(request.POST)
    try:
        node_marks.change_marks(name, typed.wanted(record), change(request))
    except MISTAKES as error:
        context = {"node": record, "marks": typed, "mistake": sentence(error)}
        return show(request, "marks", context, topics="", status=422)
    return _("labels and taints of node %(name)s are as you wrote them") % {"name": name}


def _find(name: str) -> NodeRecord:
    return found(queries.get(name), f'node "{name}" does not exist')

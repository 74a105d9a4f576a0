"""Pages of replicas, nodes, jobs and events."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.operations.announce import deployment_topic
from orchestrator.queries import drains, events, jobs, joining, nodes, replicas, waiting
from webui import presenters
from webui.pages import found, page, paged, show, wanted

BESIDE = 10
# Deployments on a page of a drain: the planner is asked about each.
PLANNED = 10
# In the session: the command that lets a machine join, for as long as it is good.
JOIN_TOKEN = "join_token"  # noqa: S105, a key's name


@page("replica")
def replica(request: HttpRequest, uid: str) -> HttpResponse:
    """Show one replica: verdict, facts, its kept log, what happened to it."""
    record = found(replicas.get(uid), f'replica "{uid}" does not exist')
    source = replicas.log_source(uid)
    context = {
        "replica": record,
        "look": presenters.of_replica(record),
        "explanation": waiting.explanation(uid, now=timezone.now()),
        "kept": source.kept if source is not None else "",
        "jobs": jobs.select({"replica": uid})[:BESIDE],
        "events": events.select({"replica": uid})[:30],
    }
    return show(
        request, "replica", context, topics=deployment_topic(record.namespace, record.deployment)
    )


@page("nodes")
def node_list(request: HttpRequest) -> HttpResponse:
    """List nodes with what they carry, and how another machine becomes one."""
    context = {"page": paged(request, nodes.select(), 100), "joining": _joining(request)}
    return show(request, "nodes", context)


def _joining(request: HttpRequest) -> dict[str, object] | None:
    """Return what became of the token made last; its text is shown until it was used or is old."""
    kept = request.session.get(JOIN_TOKEN)
    if kept is None:
        return None
    record = joining.get(kept["id"])
    if record is None or record.expires_at < timezone.now():
        del request.session[JOIN_TOKEN]
        return None
    return {**kept, "record": record}


@page("node")
def node(request: HttpRequest, name: str) -> HttpResponse:
    """Show one node and what runs there."""
    record = found(nodes.get(name), f'node "{name}" does not exist')
    context = {
        "node": record,
        "look": presenters.of_node(record),
        "page": paged(request, replicas.select({"node": name})),
        "events": events.select({"node": name})[:BESIDE],
        "jobs": jobs.select({"node": name})[:BESIDE],
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


@page("jobs")
def job_list(request: HttpRequest) -> HttpResponse:
    """List jobs with their states, attempts and times."""
    names = ("node", "namespace", "deployment", "replica")
    filters = wanted(request, *names, state=jobs.STATES)
    context = {
        "page": paged(request, jobs.select(filters), 50),
        "filters": filters,
        "counts": jobs.counts(),
    }
    return show(request, "jobs", context)


@page("jobs")
def job(request: HttpRequest, uid: str) -> HttpResponse:
    """Show one job: who asked, what came of it, and when."""
    record = found(jobs.get(uid), f'job "{uid}" does not exist')
    steps = [
        (_("asked for"), record.created_at),
        (_("sent"), record.sent_at),
        (_("accepted by the node"), record.accepted_at),
        (_("ended"), record.finished_at),
    ]
    context = {"job": record, "look": presenters.of_job(record), "steps": steps}
    return show(request, "job", context)


@page("events")
def event_list(request: HttpRequest) -> HttpResponse:
    """List everything that happened, the system's and people's acts in one timeline."""
    names = ("search", "namespace", "deployment", "node", "people", "actor")
    filters = wanted(request, *names, severity=events.SEVERITIES)
    context = {"page": paged(request, events.select(filters), 50), "filters": filters}
    # A list of the past: new rows would push what somebody reads away from under the eyes.
    is_latest = request.GET.get("page", "1") == "1"
    return show(request, "events", context, topics="*" if is_latest else "")


@page("event")
def event(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one event and the chain of what caused it."""
    record = found(events.get(pk), f"event {pk} does not exist")
    context = {
        "event": record,
        "look": presenters.of_event(record),
        "chain": events.cause_chain(pk),
    }
    return show(request, "event", context, topics="")

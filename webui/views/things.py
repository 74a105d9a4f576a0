"""Pages of replicas, jobs and events."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.operations.announce import deployment_topic
from orchestrator.queries import events, jobs, replicas, waiting
from webui import presenters
from webui.pages import found, page, paged, show, wanted

BESIDE = 10


@page("replica")
def replica(request: HttpRequest, uid: str) -> HttpResponse:
    """Show one replica: verdict, facts, its kept log, what happened to it."""
    record = found(replicas.get(uid), f'replica "{uid}" does not exist')
    source = replicas.log_source(uid)
    now = timezone.now()
    explanation = waiting.explanation(uid, now=now)
    places = explanation.nodes if explanation is not None else ()
    context = {
        "replica": record,
        "look": presenters.of_replica(record),
        "explanation": explanation,
        "leaving": waiting.leaving(uid, now=now) if record.phase == ReplicaPhase.WITHDRAWN else "",
        # Who lacks least stands first.
        "by_nearness": sorted(places, key=lambda place: (len(place.objections), place.node)),
        "is_live": ReplicaPhase(record.phase).is_live,
        "runs": record.phase == ReplicaPhase.RUNNING,
        "kept": source.kept if source is not None else "",
        "jobs": jobs.select({"replica": uid})[:BESIDE],
        "events": events.select({"replica": uid})[:30],
    }
    return show(
        request, "replica", context, topics=deployment_topic(record.namespace, record.deployment)
    )


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

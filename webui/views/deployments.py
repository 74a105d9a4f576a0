"""The list of deployments, and one deployment's pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from orchestrator.core.plan import DeploymentPhase
from orchestrator.manifests import deployment as manifests
from orchestrator.operations.announce import deployment_topic
from orchestrator.queries import deployments, events, metrics, overview, replicas, services
from orchestrator.queries.deployments import DeploymentRecord, RevisionRecord
from orchestrator.queries.metrics import Tally
from webui import presenters
from webui.explain import next_steps
from webui.pages import found, page, paged, show, wanted
from webui.pictures import replicas_over_time

MOST_TILES = 120


@page("deployments")
def index(request: HttpRequest) -> HttpResponse:
    """List deployments, filtered and page by page."""
    filters = wanted(request, "search", "namespace", phase=tuple(DeploymentPhase))
    counts = overview.phase_counts(filters)
    shown = paged(request, deployments.select(filters))
    why = overview.worst_of([(record.namespace, record.name) for record in shown])
    context = {
        "page": shown,
        "rows": [(record, why.get((record.namespace, record.name))) for record in shown],
        "filters": filters,
        "chips": [(phase, counts[phase]) for phase in DeploymentPhase if counts.get(phase)],
        "total": sum(counts.values()),
    }
    return show(request, "deployments", context)


def find(namespace: str, name: str) -> DeploymentRecord:
    """Return one deployment, or answer 404."""
    sentence = f'deployment "{name}" does not exist in namespace "{namespace}"'
    return found(deployments.get(namespace, name), sentence)


def frame_of(tab: str, record: DeploymentRecord) -> dict[str, Any]:
    """Return what every page of a deployment shows around its own part."""
    return {
        "deployment": record,
        "tab": tab,
        "look": presenters.of_deployment(record),
        "rolling": presenters.is_rolling(record),
    }


def _show(request: HttpRequest, tab: str, record: DeploymentRecord, **more: Any) -> HttpResponse:
    topic = deployment_topic(record.namespace, record.name)
    return show(request, f"deployment_{tab}", {**frame_of(tab, record), **more}, topics=topic)


@page("deployment")
def detail(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show how a deployment does: verdict, rollout, tiles, difference, timeline."""
    record = find(namespace, name)
    rows = replicas.select({"namespace": namespace, "deployment": name})[:5000]
    history = deployments.revisions(namespace, name) or []
    current = next((item for item in history if item.current), None)
    old = [row for row in rows if row.revision != record.revision]
    slots = presenters.slots(record, rows)
    leading = services.names_for(namespace, name)
    failing = [row for row in rows if presenters.of_replica(row).tone in {"bad", "warn"}]
    return _show(
        request,
        "detail",
        record,
        slots=slots,
        legend=presenters.legend(slots),
        new=[row for row in rows if row.revision == record.revision][:MOST_TILES],
        old=old[:MOST_TILES],
        hidden=max(0, len(rows) - MOST_TILES),
        failing=failing[0] if failing else None,
        failing_count=len(failing),
        current=current,
        services=leading,
        previous=_rollback_target(history, record),
        steps=next_steps(record, rows, may_go_back=_rollback_target(history, record) is not None),
        events=events.select({"namespace": namespace, "deployment": name})[:10],
        picture=replicas_over_time(namespace, name, record.desired),
        traffic=_requests_since(current, record, leading) if current is not None else None,
    )


@page("deployment-replicas")
def replica_list(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """List every replica, gone ones when asked."""
    record = find(namespace, name)
    filters = {"namespace": namespace, "deployment": name}
    everything = "gone" in request.GET
    rows = replicas.select(filters, everything=everything)
    return _show(request, "replicas", record, page=paged(request, rows), everything=everything)


@page("deployment-revisions")
def revisions(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """List revisions with what each changed; two of them can be compared."""
    record = find(namespace, name)
    history = deployments.revisions(namespace, name) or []
    numbered = {str(item.number): item for item in history}
    left, right = (numbered.get(request.GET.get(key, "")) for key in ("from", "to"))
    back = numbered.get(request.GET.get("back", ""))
    current = numbered.get(str(record.revision))
    compared = None
    if left is not None and right is not None:
        compared = manifests.diff_of_templates(left.template, right.template)
    return _show(
        request,
        "revisions",
        record,
        revisions=history,
        left=left,
        right=right,
        compared=compared,
        back=back,
        back_diff=manifests.diff_of_templates(current.template, back.template)
        if back is not None and current is not None
        else "",
    )


@page("deployment-events")
def timeline(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """List what happened to one deployment."""
    record = find(namespace, name)
    rows = events.select({"namespace": namespace, "deployment": name})
    return _show(request, "events", record, page=paged(request, rows, 50))


@page("deployment-manifest")
def settings(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show the manifest, as written and with every default."""
    record = find(namespace, name)
    kinds = {
        written: manifests.to_yaml(deployments.manifest_of(namespace, name, written=written))
        for written in (True, False)
    }
    return _show(request, "settings", record, written=kinds[True], full=kinds[False])


def _requests_since(
    current: RevisionRecord, record: DeploymentRecord, leading: Sequence[str]
) -> Tally | None:
    """Return what gateways counted while the latest revision was rolled out; None: nobody did."""
    now = timezone.now()
    end = min(now, current.completed_at or now)
    if now - current.created_at > metrics.LONGEST:
        return None
    keys = {f"{record.namespace}/{service}" for service in leading}
    return metrics.tally(keys, current.created_at, end + metrics.LONGEST_PERIOD) if keys else None


def _rollback_target(history: list[Any], record: DeploymentRecord) -> Any:
    """Return the revision that "roll back" goes to when nothing is said: the latest that worked."""
    earlier = [
        item for item in history if item.number < record.revision and item.completed_at is not None
    ]
    return earlier[0] if earlier else None

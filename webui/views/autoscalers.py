"""What was used over time, and the autoscaler of a deployment: decisions, changes, rehearsals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator.manifests.autoscaling import SCHEDULE
from orchestrator.manifests.manifest import Manifest, from_object
from orchestrator.manifests.problems import ManifestInvalid
from orchestrator.operations import autoscalers as operations
from orchestrator.operations.announce import autoscaler_topic, deployment_topic
from orchestrator.queries import autoscalers, backtests, metrics, nodes, replicas
from orchestrator.queries.autoscalers import AutoscalerRecord, DecisionRecord
from orchestrator.queries.backtests import Backtest
from orchestrator.queries.deployments import DeploymentRecord
from orchestrator.queries.metrics import Point
from webui.autoscaler_form import AutoscalerForm, initial_of, manifest_of
from webui.pages import act, change, found, page, paged, show
from webui.pictures import Picture, drawn
from webui.usage import RANGES, USUAL, charts, span_of
from webui.views.deployments import find, frame_of

REPLAYED_SECONDS = 3600


@page("metrics")
def deployment_use(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show what all replicas of a deployment used."""
    record = find(namespace, name)
    span = span_of(request.GET.get("range", ""), timezone.now())
    points = metrics.of_deployment(namespace, name, span) or []
    use = _use(request, points, with_replicas=True)
    context = {**frame_of("use", record), **use, "counted": _has_requests(points)}
    return show(request, "deployment_use", context, topics=deployment_topic(namespace, name))


@page("metrics")
def replica_use(request: HttpRequest, uid: str) -> HttpResponse:
    """Show what one replica used."""
    found(replicas.get(uid), f'replica "{uid}" does not exist')
    span = span_of(request.GET.get("range", ""), timezone.now())
    points = metrics.of_replica(uid, span) or []
    back = reverse("webui:replica", args=[uid])
    context = {"name": uid, "back": back, **_use(request, points)}
    return show(request, "use", {**context, "counted": _has_requests(points)}, topics="")


@page("metrics")
def node_use(request: HttpRequest, name: str) -> HttpResponse:
    """Show what one node used."""
    found(nodes.get(name), f'node "{name}" does not exist')
    points = metrics.of_node(name, span_of(request.GET.get("range", ""), timezone.now()))
    back = reverse("webui:node", args=[name])
    context = {"name": name, "back": back, **_use(request, points)}
    # Requests are of services and replicas: nothing is missing here.
    return show(request, "use", {**context, "counted": True}, topics="")


@page("autoscaler")
def detail(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show a deployment's autoscaler: what it decided, and a form to change it."""
    return _show(request, find(namespace, name), _form_of(_owner(namespace, name)))


@act("autoscaler-backtest")
def rehearse(request: HttpRequest, namespace: str, name: str) -> HttpResponse:
    """Show what the changed policy would have done in the last hour; nothing is saved."""
    record, form = find(namespace, name), AutoscalerForm(request.POST)
    manifest, problems = _manifest(form, record)
    backtest = None
    if manifest is not None:
        now = timezone.now()
        backtest = backtests.compare(manifest.full, seconds=REPLAYED_SECONDS, now=now)
    return _show(request, record, form, problems=problems, backtest=backtest)


@act("autoscaler", "PUT")
def save(request: HttpRequest, namespace: str, name: str) -> str | HttpResponse:
    """Save the autoscaler as the form says."""
    record, form = find(namespace, name), AutoscalerForm(request.POST)
    manifest, problems = _manifest(form, record)
    if manifest is None:
        return _show(request, record, form, problems=problems)
    operations.replace(manifest, change(request))
    return _("the autoscaler of %(name)s is saved") % {"name": name}


@act("autoscaler", "DELETE")
def delete(request: HttpRequest, namespace: str, name: str) -> str:
    """Delete the autoscaler; the number stays."""
    owner = _owner(namespace, name)
    operations.delete(namespace, owner.name if owner else name, change(request))
    return _("the autoscaler of %(name)s is deleted; the number of replicas stays") % {"name": name}


def _use(
    request: HttpRequest, points: list[Point], *, with_replicas: bool = False
) -> dict[str, Any]:
    word = request.GET.get("range", "")
    return {
        "charts": charts(points, with_replicas=with_replicas),
        "restarts": points[-1].restarts if points else None,
        "ranges": list(RANGES),
        "range": word if word in RANGES else USUAL,
    }


def _has_requests(points: list[Point]) -> bool:
    return any(point.requests_per_second_millis is not None for point in points)


def _owner(namespace: str, name: str) -> AutoscalerRecord | None:
    return autoscalers.select({"namespace": namespace, "target": name}).first()


def _written(owner: AutoscalerRecord | None) -> dict[str, Any] | None:
    if owner is None:
        return None
    return autoscalers.manifest_of(owner.namespace, owner.name, written=True)


def _form_of(owner: AutoscalerRecord | None) -> AutoscalerForm:
    written = _written(owner)
    if owner is None or written is None:
        return AutoscalerForm()
    note = (written["metadata"].get("annotations") or {}).get(SCHEDULE, "")
    return AutoscalerForm(initial=initial_of(owner.spec, note))


def _manifest(form: AutoscalerForm, record: DeploymentRecord) -> tuple[Manifest | None, list[str]]:
    """Return the manifest that the form asks for, or what is wrong with it."""
    if not form.is_valid():
        return None, []
    written = _written(_owner(record.namespace, record.name))
    value = manifest_of(written, form.cleaned_data, namespace=record.namespace, target=record.name)
    try:
        return from_object(value), []
    except ManifestInvalid as error:
        return None, [str(problem) for problem in error.problems]


def _show(
    request: HttpRequest,
    record: DeploymentRecord,
    form: AutoscalerForm,
    *,
    problems: list[str] | None = None,
    backtest: Backtest | None = None,
) -> HttpResponse:
    owner = _owner(record.namespace, record.name)
    context = {
        **frame_of("autoscaler", record),
        "autoscaler": owner,
        "form": form,
        "problems": problems or [],
        "backtest": backtest,
        "picture": _picture(backtest),
        "columns": (_("As changed"), _("As it is")),
    }
    topics = deployment_topic(record.namespace, record.name)
    if owner is not None:
        rows = autoscalers.decisions(owner.namespace, owner.name)
        context["page"] = shown = paged(request, rows, 20)
        context["decisions"] = _folded(shown)
        topics += f" {autoscaler_topic(owner.namespace, owner.name)}"
    return show(request, "deployment_autoscaler", context, topics=topics)


def _folded(decisions: Iterable[DecisionRecord]) -> list[tuple[DecisionRecord, int]]:
    """Return decisions with equal ones in a row folded into the latest, and how many it was."""
    found: list[tuple[DecisionRecord, int]] = []
    for row in decisions:
        if found and _outcome(found[-1][0]) == _outcome(row):
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((row, 1))
    return found


def _outcome(row: DecisionRecord) -> tuple[object, ...]:
    return (row.word, row.current, row.proposed, row.desired)


def _picture(backtest: Backtest | None) -> Picture | None:
    if backtest is None or not backtest.changed.replicas:
        return None
    return drawn(backtest.changed.replicas, backtest.present.replicas, str)

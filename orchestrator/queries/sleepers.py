"""Deployments that may have no replica: by which services they are reached, and who waits there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.db.models import F
from django.db.models.fields.json import KeyTransform

from orchestrator.core.autoscaling.observation import NO_GATEWAY, NO_ROUTE
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.rotation import selects
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Autoscaler, Deployment, Gateway, IngressPath, Revision, Service
from orchestrator.queries import endpoints

HTTP_WAY = "caddy"
DECLARED = KeyTransform("replicas", KeyTransform("spec", "manifest"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Whether requests wait for a deployment, and why none could be noticed (empty: they are)."""

    waiting: bool = False
    unwatched: str = ""


def look(deployments: Collection[int]) -> dict[int, Awaited]:
    """Return by deployment who waits for it now (4 queries, none for nobody)."""
    if not deployments:
        return {}
    reached = _services_of(deployments)
    rows = Gateway.objects.exclude(node__state=NodeState.LOST)
    gateways = [row for row in rows if HTTP_WAY in row.ways]
    waited_for = {name for row in gateways for name in row.waiting}
    paths = IngressPath.objects.values_list("ingress__namespace_id", "service").distinct()
    led_to = {f"{namespace}/{service}" for namespace, service in paths}
    found = {}
    for pk in deployments:
        services = reached.get(pk, set())
        unwatched = "" if services & led_to else NO_ROUTE
        found[pk] = Awaited(
            waiting=bool(services & waited_for),
            unwatched=unwatched if gateways else NO_GATEWAY,
        )
    return found


def waking(namespaces: Collection[str] | None = None) -> set[tuple[str, str]]:
    """Return the services (namespace, name) whose requests are to wait while nobody serves them.

    One query where no autoscaler lets anything sleep, four otherwise.
    """
    autoscalers = Autoscaler.objects.filter(may_sleep=True)
    if namespaces is not None:
        autoscalers = autoscalers.filter(namespace__name__in=namespaces)
    targets = {(str(row.namespace_id), row.target) for row in autoscalers}
    if not targets:
        return set()
    named = Deployment.objects.filter(name__in={name for _, name in targets}, deleting=False)
    rows = named.annotate(declared=DECLARED).values_list("pk", "namespace_id", "name", "declared")
    # Who is switched off is not woken, so nothing is to wait for it.
    sleepers = [pk for pk, *key, declared in rows if tuple(key) in targets and declared != 0]
    reached = _services_of(sleepers)
    names = [name.split("/") for services in reached.values() for name in services]
    return {(namespace, service) for namespace, service in names}


def _services_of(deployments: Iterable[int]) -> Mapping[int, set[str]]:
    """Return by deployment the services (`namespace/name`) that select its present template."""
    current = Revision.objects.filter(
        deployment__in=deployments, number=F("deployment__revision")
    ).values_list("deployment_id", "deployment__namespace_id", "template")
    labels = {pk: (str(room), manifests.labels_of(template)) for pk, room, template in current}
    rooms = {room for room, _ in labels.values()}
    found: dict[int, set[str]] = defaultdict(set)
    for service in Service.objects.filter(namespace__name__in=rooms):
        selector = endpoints.selector_of(service)
        for pk, (room, own) in labels.items():
            if room == str(service.namespace_id) and selects(selector, own):
                found[pk].add(f"{room}/{service.name}")
    return found

"""Deployments that may have no replica: by which services they are reached, and who waits there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTransform

from orchestrator.core.autoscaling.observation import NO_GATEWAY, NO_ROUTE
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.rotation import selects
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Autoscaler, Gateway, IngressPath, Revision, Service
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
    reached = _services_of(Revision.objects.filter(deployment__in=deployments))
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

    One query where no autoscaler lets anything sleep, two otherwise.
    """
    theirs = Autoscaler.objects.filter(
        may_sleep=True,
        namespace=OuterRef("deployment__namespace"),
        target=OuterRef("deployment__name"),
    )
    # Who is switched off is not woken, so nothing is to wait for it.
    written = "deployment__manifest__spec__replicas"
    is_on = Q(**{f"{written}__isnull": True}) | ~Q(**{written: 0})
    sleepers = Revision.objects.filter(is_on, Exists(theirs), deployment__deleting=False)
    if namespaces is not None:
        sleepers = sleepers.filter(deployment__namespace__name__in=namespaces)
    reached = _services_of(sleepers)
    names = [name.split("/") for services in reached.values() for name in services]
    return {(namespace, service) for namespace, service in names}


def _services_of(revisions: QuerySet[Revision]) -> Mapping[int, set[str]]:
    """Return by deployment the services (`namespace/name`) that select its present template."""
    current = revisions.filter(number=F("deployment__revision"))
    rows = current.values_list("deployment_id", "deployment__namespace_id", "template")
    labels = {pk: (str(room), manifests.labels_of(template)) for pk, room, template in rows}
    if not labels:
        return {}
    rooms = {room for room, _ in labels.values()}
    found: dict[int, set[str]] = defaultdict(set)
    for service in Service.objects.filter(namespace__name__in=rooms):
        selector = endpoints.selector_of(service)
        for pk, (room, own) in labels.items():
            if room == str(service.namespace_id) and selects(selector, own):
                found[pk].add(f"{room}/{service.name}")
    return found

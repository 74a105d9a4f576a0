"""What routes are made from, and whether those there are were made from what is there now."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable

from django.db.models import Q

from orchestrator.models import (
    Ingress,
    IngressPath,
    Namespace,
    Node,
    RouteEntry,
    Routing,
    Secret,
    Service,
)
from orchestrator.queries import sleepers

Key = tuple[str, str, str]
Names = tuple[str, str]


def peers() -> list[str]:
    """Return the addresses of all nodes."""
    known = Node.objects.exclude(address="").order_by("address")
    return list(known.values_list("address", flat=True).distinct())


def peers_differ() -> bool:
    """Tell whether nodes came, went or have other addresses than routes were made for."""
    routing = Routing.objects.filter(pk=1).first()
    return (routing.peers if routing else []) != peers()


def open_namespaces() -> list[str]:
    """Return the namespaces whose replicas may be reached from every other."""
    return list(Namespace.objects.filter(open=True).order_by("name").values_list("name", flat=True))


def openness_differs() -> bool:
    """Tell whether other namespaces are open than nodes were told."""
    routing = Routing.objects.filter(pk=1).first()
    return (routing.open_namespaces if routing else []) != open_namespaces()


def source_of(service: Service) -> str:
    """Return what names a version of a service."""
    return f"{service.uid}.{service.generation}"


def of_ingresses(namespaces: Collection[str] | None = None) -> dict[Names, str]:
    """Return by ingress a digest of the versions of everything that its routes are made from."""
    room = Q() if namespaces is None else Q(namespace__name__in=namespaces)
    secrets: dict[str, list[str]] = defaultdict(list)
    for row in Secret.objects.filter(room).only("namespace_id", "uid", "generation"):
        secrets[row.namespace_id].append(f"{row.uid}.{row.generation}")
    services = _services(room)
    for space, name in sleepers.waking(namespaces):
        services[space, name] = f"{services.get((space, name), '')}.wakes"
    ingresses = Ingress.objects.filter(room).only("namespace_id", "name", "uid", "generation")
    used: dict[int, set[str]] = defaultdict(set)
    for pk, name in IngressPath.objects.values_list("ingress_id", "service"):
        used[pk].add(name)
    return {
        (row.namespace_id, row.name): _digest(
            [
                f"{row.uid}.{row.generation}",
                *sorted(services.get((row.namespace_id, name), "") for name in used[row.pk]),
                *sorted(secrets[row.namespace_id]),
            ]
        )
        for row in ingresses
    }


def differing() -> set[Key]:
    """Return the services and ingresses whose routes are missing, out of date, or left over."""
    wanted = {
        RouteEntry.SERVICE: _services(Q()),
        RouteEntry.INGRESS: of_ingresses() if Ingress.objects.exists() else {},
    }
    found = set()
    entries = RouteEntry.objects.filter(removed=False)
    known: dict[str, dict[Names, str]] = {kind: {} for kind in wanted}
    for kind, space, name, source in entries.values_list("kind", "namespace", "name", "source"):
        known[kind][space, name] = source
    for kind, sources in wanted.items():
        for names in sources.keys() | known[kind].keys():
            if sources.get(names) != known[kind].get(names):
                found.add((kind, *names))
    return found


def following(keys: Iterable[Key]) -> set[Key]:
    """Return the ingresses that follow from services and secrets among the keys."""
    led: dict[str, set[str]] = defaultdict(set)
    whole: set[str] = set()
    for kind, namespace, name in keys:
        if kind == RouteEntry.SERVICE:
            led[namespace].add(name)
        elif kind != RouteEntry.INGRESS:
            # What follows from a secret is not written down: all of its namespace may.
            whole.add(namespace)
    rows = list(Ingress.objects.filter(namespace__name__in=whole)) if whole else []
    for namespace, names in led.items():
        rows += Ingress.objects.filter(namespace__name=namespace, paths__service__in=names)
    return {(RouteEntry.INGRESS, row.namespace_id, row.name) for row in rows}


def _services(room: Q) -> dict[Names, str]:
    rows = Service.objects.filter(room).only("namespace_id", "name", "uid", "generation")
    return {(row.namespace_id, row.name): source_of(row) for row in rows}


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()

"""Keep the routes up to date: every change gets the next generation, and leaves after the commit.

The row of `Routing` is locked last in a transaction, before anything that routes follow from is
read. Whoever holds it writes rows of routing only, and so waits for nobody.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from django.db import transaction
from django.db.models import Max

from orchestrator.core.lifecycle import GONE_PHASES
from orchestrator.core.rotation import Standing
from orchestrator.models import (
    Endpoint,
    Gateway,
    Ingress,
    RelayPort,
    Replica,
    RouteEntry,
    Routing,
    Service,
)
from orchestrator.operations import route_tables
from orchestrator.operations.route_renewal import Renewal
from orchestrator.queries import endpoints, route_sources
from orchestrator.queries.route_sources import Key

Row = TypeVar("Row", Service, Ingress)

REMOVED_KEPT = timedelta(hours=1)


class _Owed(threading.local):
    """What the transaction of this thread has changed, until it is committed."""

    def __init__(self) -> None:
        self.keys: set[Key] = set()
        self.nodes = False
        self.openness = False


_owed = _Owed()


def owe(kind: str, namespace: str, name: str, *, now: datetime) -> None:
    """Renew the routes of a service or ingress once this transaction is over."""
    _owed.keys.add((kind, namespace, name))
    transaction.on_commit(partial(_renew_owed, now))


def owe_nodes(*, now: datetime) -> None:
    """Renew everything that names addresses of nodes once this transaction is over."""
    _owed.nodes = True
    transaction.on_commit(partial(_renew_owed, now))


def owe_openness(*, now: datetime) -> None:
    """Tell nodes which namespaces are open once this transaction is over."""
    _owed.openness = True
    transaction.on_commit(partial(_renew_owed, now))


def refresh(deployments: Collection[int], *, now: datetime) -> None:
    """Renew the routes to these deployments, at the end of a transaction that changed replicas."""
    if not deployments:
        return
    # Read before the lock is taken, which those that no service selects never do: a service that
    # comes at the same moment sees to its replicas itself.
    wanted = endpoints.services_of(deployments)
    if wanted:
        renewal = Renewal(locked(), now)
        renewal.services(list(Service.objects.filter(pk__in=wanted)))
        _end(renewal)


def repair(*, now: datetime) -> int:
    """Renew what was changed, made or deleted since its routes were made; return how many."""
    keys = route_sources.differing()
    if keys or route_sources.peers_differ() or route_sources.openness_differs():
        _renew(keys, now)
    return len(keys)


def renew_everything(*, now: datetime) -> None:
    """Renew all routes to replicas, whatever may have been missed."""
    if Service.objects.exists():
        with transaction.atomic():
            renewal = Renewal(locked(), now)
            renewal.services(list(Service.objects.all()))
            _end(renewal)


def jump_above(generation: int) -> None:
    """Go on with generations above one that a gateway has: our database is older than that."""
    with transaction.atomic():
        routing = locked()
        if routing.generation <= generation:
            routing.generation = routing.complete_since = generation + 1
            routing.save(update_fields=["generation", "complete_since"])
            transaction.on_commit(partial(route_tables.send, routing.generation))


def prune(*, now: datetime) -> int:
    """Forget what was removed long ago, and what every gateway has confirmed; return rows."""
    with transaction.atomic():
        routing = locked()
        old = RouteEntry.objects.filter(removed=True, removed_at__lt=now - REMOVED_KEPT)
        latest = old.aggregate(latest=Max("generation"))["latest"]
        if latest is not None:
            routing.complete_since = max(routing.complete_since, latest)
            routing.save(update_fields=["complete_since"])
        rows = old.delete()[0]
        confirmed = Gateway.objects.values_list("generation", flat=True)
        lowest = min(confirmed, default=routing.generation)
        out = Endpoint.objects.filter(standing=Standing.OUT, generation__lte=lowest)
        rows += out.delete()[0]
        present = Replica.objects.exclude(phase__in=GONE_PHASES).values("uid")
        rows += RelayPort.objects.exclude(replica_uid__in=present).delete()[0]
        return rows


def locked() -> Routing:
    """Return the one row that numbers changes, locked until the transaction ends."""
    rows = Routing.objects.select_for_update(no_key=True).filter(pk=1)
    found = rows.first()
    if found is None:
        Routing.objects.get_or_create(pk=1)
        found = rows.get()
    return found


def _renew_owed(now: datetime) -> None:
    keys, nodes, openness = _owed.keys, _owed.nodes, _owed.openness
    _owed.keys, _owed.nodes, _owed.openness = set(), False, False
    if nodes and not keys and not openness:
        nodes = Service.objects.exists() and route_sources.peers_differ()
    if keys or nodes or openness:
        _renew(keys, now)


def _renew(keys: Iterable[Key], now: datetime) -> None:
    wanted = set(keys)
    with transaction.atomic():
        renewal = Renewal(locked(), now)
        everything = renewal.nodes()
        renewal.openness()
        wanted |= route_sources.following(wanted)
        services = _rows(Service, RouteEntry.SERVICE, wanted)
        ingresses = _rows(Ingress, RouteEntry.INGRESS, wanted)
        renewal.services(list(Service.objects.all()) if everything else services)
        renewal.ingresses(ingresses)
        found = {(RouteEntry.SERVICE, row.namespace_id, row.name) for row in services}
        found |= {(RouteEntry.INGRESS, row.namespace_id, row.name) for row in ingresses}
        renewal.remove(wanted - found)
        _end(renewal)


def _rows(model: type[Row], kind: str, keys: Iterable[Key]) -> list[Row]:
    found: list[Row] = []
    for namespace, names in _named(kind, keys):
        found += model.objects.filter(namespace__name=namespace, name__in=names)
    return found


def _named(kind: str, keys: Iterable[Key]) -> Iterable[tuple[str, list[str]]]:
    """Return the names of one kind by namespace."""
    found: dict[str, list[str]] = {}
    for its_kind, namespace, name in keys:
        if its_kind == kind:
            found.setdefault(namespace, []).append(name)
    return found.items()


def _end(renewal: Renewal) -> None:
    generation = renewal.finish()
    if generation is not None:
        transaction.on_commit(partial(route_tables.send, generation))

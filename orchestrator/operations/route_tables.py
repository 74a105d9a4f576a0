"""Tell nodes the routes: what changed since each confirmed, or a whole table, until it confirms.

Routes are state, not jobs: what is sent is what holds now, however many changes led there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone

from orchestrator.core.lifecycle import NodeState
from orchestrator.models import Gateway, RouteEntry, Routing, Secret
from orchestrator.operations import sealed_keys
from orchestrator.operations.transport import publish_to_nodes
from worker import routes

Json = dict[str, Any]

RESEND_AFTER = timedelta(seconds=2)
LATEST_RESEND = timedelta(seconds=60)
# So many in the letters of one round trip to the broker: whole tables take megabytes each.
_ENTRIES_AT_ONCE = 1000


def send(generation: int) -> None:
    """Tell every node the routes, after the commit that made this generation.

    Nothing is done when there is a later one already: whoever made that sees to it.
    """
    routing = Routing.objects.get(pk=1)
    if routing.generation == generation:
        _send(routing, _told(), now=timezone.now())


def send_to(node: str) -> None:
    """Tell one node the routes now."""
    routing = Routing.objects.filter(pk=1).first()
    if routing is not None:
        _send(routing, [row for row in _told() if row.node_id == node], now=timezone.now())


def resend_unconfirmed(*, now: datetime) -> int:
    """Tell again what was not confirmed for a while; return to how many nodes.

    The wait grows with each attempt, so that the queue of a node that is away stays short.
    """
    routing = Routing.objects.filter(pk=1).first()
    if routing is None:
        return 0
    due = [row for row in _told() if row.generation < routing.generation and _is_due(row, now)]
    _send(routing, due, now=now)
    return len(due)


def _told() -> list[Gateway]:
    """Return the gateways of every node that is not lost."""
    rows = Gateway.objects.exclude(node__state=NodeState.LOST)
    return list(rows.only("node_id", "generation", "sent_at", "attempts"))


def _is_due(row: Gateway, now: datetime) -> bool:
    wait = min(RESEND_AFTER * 2 ** min(row.attempts, 6), LATEST_RESEND)
    return row.sent_at is None or row.sent_at <= now - wait


def _send(routing: Routing, gateways: Sequence[Gateway], *, now: datetime) -> None:
    if not gateways:
        return
    bases = {str(gateway.node_id): _base(gateway, routing) for gateway in gateways}
    tables = {base: _table(routing, base) for base in set(bases.values())}
    for base, table in tables.items():
        nodes = [node for node, own in bases.items() if own == base]
        together = max(1, _ENTRIES_AT_ONCE // (1 + len(table["services"])))
        for some in range(0, len(nodes), together):
            letters = {node: {"table": table} for node in nodes[some : some + together]}
            publish_to_nodes(routes.ROUTE_TASK, letters)
    # An attempt counts whether or not the broker took it.
    Gateway.objects.filter(pk__in=[gateway.pk for gateway in gateways]).update(
        sent_generation=routing.generation,
        sent_at=now,
        attempts=F("attempts") + 1,
        owed_since=Coalesce("owed_since", now),
    )


def _base(gateway: Gateway, routing: Routing) -> int | None:
    """Return where a change for this gateway may begin; None when it needs everything."""
    base = int(gateway.generation)
    return base if routing.complete_since <= base <= routing.generation and base else None


def _table(routing: Routing, base: int | None) -> Json:
    """Return the wire form of the routes, or of what changed since `base`."""
    entries = RouteEntry.objects.all()
    entries = entries.filter(removed=False) if base is None else entries.filter(generation__gt=base)
    rows = list(entries)
    here = [row for row in rows if not row.removed]
    gone = [row for row in rows if row.removed]
    table: Json = {
        "generation": routing.generation,
        "services": [row.payload for row in here if row.kind == RouteEntry.SERVICE],
        "ingresses": _with_keys([row for row in here if row.kind == RouteEntry.INGRESS]),
        "removed_services": _names(gone, RouteEntry.SERVICE),
        "removed_ingresses": _names(gone, RouteEntry.INGRESS),
        "peers": routing.peers,
        "open_namespaces": routing.open_namespaces,
    }
    return table if base is None else {**table, "base": base}


def _names(rows: Iterable[RouteEntry], kind: str) -> list[str]:
    return [f"{row.namespace}/{row.name}" for row in rows if row.kind == kind]


def _with_keys(rows: Sequence[RouteEntry]) -> list[Json]:
    """Return the ingresses with the keys of their certificates in the places of their names."""
    spaces = {row.namespace for row in rows if row.payload.get("certificates")}
    if not spaces:
        return [row.payload for row in rows]
    known = {
        (secret.namespace_id, secret.name): secret
        for secret in Secret.objects.filter(namespace__name__in=spaces)
    }
    return [
        {
            **row.payload,
            "certificates": [
                {**one, "key": sealed_keys.opened(known[row.namespace, one["key"]].sealed_key)}
                for one in row.payload.get("certificates", ())
                if (row.namespace, one["key"]) in known
            ],
        }
        for row in rows
    ]

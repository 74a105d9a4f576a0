"""Read models of services and their routes: who is in rotation, who is not, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from orchestrator.core.rotation import Candidate, Standing, place_of
from orchestrator.core.wording import ASLEEP, be, count
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.kinds import KINDS
from orchestrator.models import RevisionLabel, RouteEntry, Service
from orchestrator.queries import endpoints, gateways, sleepers
from orchestrator.queries.rows import Rows

_LOOKUPS = {"namespace": "namespace_id", "search": "name__icontains"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PortRecord:
    """One port of a service; `target` is the replica's, `node_port` is open on every node."""

    name: str
    port: int
    target: str
    protocol: str
    node_port: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRecord:
    """A replica that a service selects: where it stands, and why."""

    replica: str
    deployment: str
    node: str | None
    address: str
    standing: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """One service as people and scripts read it.

    `routes_generation` is that of its routes, `unconfirmed` are the nodes whose gateways have not
    confirmed it. `warning` is what somebody should look at.
    """

    namespace: str
    name: str
    generation: int
    labels: dict[str, str]
    written: dict[str, Any]
    spec: dict[str, Any]
    type: str
    selector: dict[str, str]
    addresses: tuple[str, ...]
    ports: tuple[PortRecord, ...]
    endpoints: tuple[EndpointRecord, ...]
    serving: int
    draining: int
    out: int
    message: str
    warning: str
    routes_generation: int
    unconfirmed: tuple[str, ...]
    created_at: datetime
    changed_at: datetime


def select(wanted: Mapping[str, str], *, confirmed: bool = True) -> Rows[ServiceRecord]:
    """Return the services that match, by namespace and name; `search` is part of a name.

    With `confirmed` false nobody asks which gateways have their routes.
    """
    filters = {_LOOKUPS[key]: value for key, value in wanted.items() if value}
    rows = _rows(confirmed=confirmed).filter(**filters).order_by("namespace_id", "name")
    complete = partial(_records, confirmed=confirmed)
    return Rows(rows, complete=complete)


def get(namespace: str, name: str) -> ServiceRecord | None:
    """Return one service, or None."""
    rows = _rows(confirmed=True).filter(namespace_id=namespace, name=name)
    return next(iter(_records(list(rows))), None)


def names_for(namespace: str, deployment: str) -> list[str]:
    """Return the names of services that may select replicas of a deployment (1 query)."""
    pairs = RevisionLabel.objects.filter(
        revision__deployment__namespace_id=namespace, revision__deployment__name=deployment
    )
    rows = Service.objects.filter(
        namespace_id=namespace, anchor__in=pairs.order_by().values("pair")
    )
    return list(rows.order_by("name").values_list("name", flat=True))


def manifest_of(namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
    """Return the manifest as it was written, or with every default."""
    row = Service.objects.filter(namespace_id=namespace, name=name).first()
    if row is None:
        return None
    wanted = row.manifest if written else manifests.with_defaults(row.manifest)
    ordered: dict[str, Any] = manifests.in_order(wanted, KINDS["Service"].schema)
    return ordered


def _records(rows: list[Service], *, confirmed: bool = True) -> list[ServiceRecord]:
    if not rows:
        return []
    found = endpoints.candidates(rows)
    have = {view.node: view.generation for view in gateways.waited_for()} if confirmed else {}
    empty = {str(row.namespace_id) for row in rows if not found[row.pk]}
    asleep = sleepers.waking(empty) if empty else set()
    return [
        _record(
            row,
            found[row.pk],
            getattr(row, "told", None) or 0,
            have,
            may_sleep=(row.namespace_id, row.name) in asleep,
        )
        for row in rows
    ]


def _rows(*, confirmed: bool) -> QuerySet[Service]:
    """Return services with their ports, and with the generation of their routes if asked."""
    rows: QuerySet[Service] = Service.objects.prefetch_related("ports")
    if not confirmed:
        return rows
    entries = RouteEntry.objects.filter(
        kind=RouteEntry.SERVICE,
        removed=False,
        namespace=OuterRef("namespace_id"),
        name=OuterRef("name"),
    )
    return rows.annotate(told=Subquery(entries.values("generation")[:1]))


def _record(
    row: Service,
    candidates: Sequence[Candidate],
    generation: int,
    confirmed: Mapping[str, int],
    *,
    may_sleep: bool,
) -> ServiceRecord:
    full = manifests.with_defaults(row.manifest)
    inside = tuple(_endpoint(one) for one in sorted(candidates, key=lambda one: one.uid))
    counts = Counter(endpoint.standing for endpoint in inside)
    serving, total = counts[Standing.SERVING], len(inside)
    asleep = may_sleep and not total
    warning = "" if asleep else _warning(full["spec"]["selector"], serving, total)
    usual = f"{count(serving, 'replica')} {be(serving)} in rotation"
    return ServiceRecord(
        namespace=row.namespace_id,
        name=row.name,
        generation=row.generation,
        labels=full["metadata"].get("labels") or {},
        written=row.manifest,
        spec=full["spec"],
        type=full["spec"]["type"],
        selector=full["spec"]["selector"],
        addresses=tuple(str(address) for address in (row.address, row.address6) if address),
        ports=tuple(_port(port) for port in row.ports.all()),
        endpoints=inside,
        serving=serving,
        draining=counts[Standing.DRAINING],
        out=counts[Standing.OUT],
        message=warning or (ASLEEP if asleep else usual),
        warning=warning,
        routes_generation=generation,
        unconfirmed=tuple(sorted(node for node, has in confirmed.items() if has < generation)),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _port(port: Any) -> PortRecord:
    return PortRecord(
        name=port.name,
        port=port.number,
        target=port.target,
        protocol=port.protocol,
        node_port=port.node_port,
    )


def _endpoint(candidate: Candidate) -> EndpointRecord:
    place = place_of(candidate, now=timezone.now())
    return EndpointRecord(
        replica=candidate.uid,
        deployment=candidate.deployment,
        node=candidate.node,
        address=candidate.address,
        standing=place.standing,
        why=place.why,
    )


def _warning(selector: Mapping[str, str], serving: int, total: int) -> str:
    if not total:
        labels = ", ".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return f"no replica has the labels {labels}, so nothing serves it"
    if not serving:
        return f"none of the {count(total, 'replica')} it selects is in rotation"
    return ""

"""Read models of ingresses and of the certificates they are served with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.manifests import deployment as manifests
from orchestrator.manifests import traffic
from orchestrator.manifests.kinds import KINDS
from orchestrator.models import Ingress, RouteEntry, Secret
from orchestrator.queries import gateways
from orchestrator.queries.rows import Rows

MOST_PATHS = 100
_LOOKUPS = {"namespace": "namespace_id", "search": "name__icontains"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRecord:
    """One host and path, and where it leads."""

    host: str
    path: str
    match: str
    service: str
    port: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRecord:
    """One ingress as people and scripts read it; `held` makes requests wait."""

    namespace: str
    name: str
    generation: int
    labels: dict[str, str]
    spec: dict[str, Any]
    hosts: tuple[str, ...]
    rules: tuple[RuleRecord, ...]
    tls_hosts: tuple[str, ...]
    sticky: bool
    held: bool
    routes_generation: int
    unconfirmed: tuple[str, ...]
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRecord:
    """One secret: what may be shown of it."""

    namespace: str
    name: str
    generation: int
    type: str
    hosts: tuple[str, ...]
    expires_at: datetime
    created_at: datetime
    changed_at: datetime


def select(wanted: Mapping[str, str]) -> Rows[IngressRecord]:
    """Return the ingresses that match, by namespace and name; `search` is part of a name."""
    rows = Ingress.objects.filter(**_filters(wanted)).order_by("namespace_id", "name")
    return Rows(rows, complete=_records)


def paths(wanted: Mapping[str, str]) -> list[tuple[IngressRecord, RuleRecord]]:
    """Return every host and path with its ingress, without what gateways confirmed (one query)."""
    rows = Ingress.objects.filter(**_filters(wanted)).order_by("namespace_id", "name")[:MOST_PATHS]
    records = (_record(row, 0, {}) for row in rows)
    return [(record, rule) for record in records for rule in record.rules]


def get(namespace: str, name: str) -> IngressRecord | None:
    """Return one ingress, or None."""
    rows = Ingress.objects.filter(namespace_id=namespace, name=name)
    return next(iter(_records(list(rows))), None)


def manifest_of(namespace: str, name: str, *, written: bool) -> dict[str, Any] | None:
    """Return the manifest as it was written, or with every default."""
    row = Ingress.objects.filter(namespace_id=namespace, name=name).first()
    if row is None:
        return None
    wanted = row.manifest if written else manifests.with_defaults(row.manifest)
    ordered: dict[str, Any] = manifests.in_order(wanted, KINDS["Ingress"].schema)
    return ordered


def select_secrets(wanted: Mapping[str, str]) -> Rows[SecretRecord]:
    """Return the secrets that match, by namespace and name; `search` is part of a name."""
    rows = Secret.objects.filter(**_filters(wanted)).order_by("namespace_id", "name")
    return Rows(rows, _secret)


def get_secret(namespace: str, name: str) -> SecretRecord | None:
    """Return one secret, or None."""
    row = Secret.objects.filter(namespace_id=namespace, name=name).first()
    return _secret(row) if row is not None else None


def _filters(wanted: Mapping[str, str]) -> dict[str, str]:
    return {_LOOKUPS[key]: value for key, value in wanted.items() if value}


def _records(rows: list[Ingress]) -> list[IngressRecord]:
    entries = RouteEntry.objects.filter(
        kind=RouteEntry.INGRESS, removed=False, namespace__in={row.namespace_id for row in rows}
    )
    told = {
        (space, name): generation
        for space, name, generation in entries.values_list("namespace", "name", "generation")
    }
    confirmed = {view.node: view.generation for view in gateways.waited_for()}
    return [_record(row, told.get((row.namespace_id, row.name), 0), confirmed) for row in rows]


def _record(row: Ingress, generation: int, confirmed: Mapping[str, int]) -> IngressRecord:
    full = manifests.with_defaults(row.manifest)
    spec, notes = full["spec"], full["metadata"].get("annotations") or {}
    rules = tuple(
        RuleRecord(
            host=claim[0],
            path=claim[1],
            match=claim[2],
            service=backend["name"],
            port=backend["port"].get("name") or backend["port"]["number"],
        )
        for (claim, _), backend in zip(
            traffic.claims(spec, ()), traffic.backends_of(spec), strict=True
        )
    )
    return IngressRecord(
        namespace=row.namespace_id,
        name=row.name,
        generation=row.generation,
        labels=full["metadata"].get("labels") or {},
        spec=spec,
        hosts=tuple(dict.fromkeys(rule.host for rule in rules)),
        rules=rules,
        tls_hosts=tuple(host for entry in spec.get("tls") or () for host in entry["hosts"]),
        sticky=notes.get(traffic.STICKY) == "true",
        held=notes.get(traffic.HOLD) == "true",
        routes_generation=generation,
        unconfirmed=tuple(sorted(node for node, has in confirmed.items() if has < generation)),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def _secret(row: Secret) -> SecretRecord:
    return SecretRecord(
        namespace=row.namespace_id,
        name=row.name,
        generation=row.generation,
        type=row.manifest["type"],
        hosts=tuple(row.hosts),
        expires_at=row.expires_at,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )

"""Which replicas services select and where they stand, in a fixed number of queries.

Read by whoever makes routes and by whoever shows them, so that both say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.constraints import Labels
from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase
from orchestrator.core.rotation import Candidate, selects
from orchestrator.manifests import deployment as manifests
from orchestrator.models import (
    Deployment,
    Namespace,
    Node,
    Replica,
    Revision,
    RevisionLabel,
    Service,
)

_COLUMNS = (
    "uid",
    "node_id",
    "phase",
    "ready",
    "ready_at",
    "address",
    "ports",
    "revision_id",
    "deployment_id",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """A node, as far as routes are concerned."""

    name: str
    state: NodeState
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """What all replicas of one revision have in common."""

    namespace: str
    labels: Labels
    named_ports: tuple[tuple[str, int], ...]
    min_ready_seconds: int


def services_of(deployments: Collection[int]) -> list[Service]:
    """Return the services that may select replicas of these deployments (one query)."""
    pairs = RevisionLabel.objects.filter(revision__deployment__in=deployments).order_by()
    rooms = Namespace.objects.filter(deployment__in=deployments).order_by()
    return list(
        Service.objects.filter(
            namespace__in=rooms.values("name"), anchor__in=pairs.values("pair")
        ).prefetch_related("ports")
    )


def selector_of(service: Service) -> Labels:
    """Return the labels that a service's replicas have."""
    return tuple(sorted(service.manifest["spec"]["selector"].items()))


def nodes() -> dict[str, NodePlace]:
    """Return every node by name."""
    rows = Node.objects.order_by("name").values_list("name", "state", "address")
    return {
        name: NodePlace(name=name, state=NodeState(state), address=address)
        for name, state, address in rows
    }


def candidates(
    services: Sequence[Service], places: Mapping[str, NodePlace]
) -> dict[int, list[Candidate]]:
    """Return by service the replicas that its selector picks, gone ones left out (3 queries)."""
    rows = _replicas(services)
    templates = _templates(rows)
    by_anchor: dict[tuple[str, str], list[tuple[Labels, Candidate]]] = defaultdict(list)
    for row in rows:
        template = templates[row["revision_id"]]
        found = _candidate(row, template, places)
        for key, value in template.labels:
            by_anchor[template.namespace, f"{key}={value}"].append((template.labels, found))
    return {
        service.pk: [
            candidate
            for labels, candidate in by_anchor[service.namespace_id, service.anchor]
            if selects(selector_of(service), labels)
        ]
        for service in services
    }


def _replicas(services: Sequence[Service]) -> list[dict[str, Any]]:
    rows = Replica.objects.exclude(phase__in=GONE_PHASES).filter(
        revision__label_set__pair__in={service.anchor for service in services},
        deployment__namespace__in={service.namespace_id for service in services},
    )
    # One that several services find comes several times.
    return list({row["uid"]: row for row in rows.order_by("uid").values(*_COLUMNS)}.values())


def _templates(rows: Iterable[Mapping[str, Any]]) -> dict[int, _Template]:
    revisions = Revision.objects.in_bulk({row["revision_id"] for row in rows})
    wanted = {revision.deployment_id for revision in revisions.values()}
    owners = Deployment.objects.only("namespace_id", "manifest").in_bulk(wanted)
    return {
        pk: _Template(
            namespace=owners[revision.deployment_id].namespace_id,
            labels=manifests.labels_of(revision.template),
            named_ports=manifests.port_names_of(revision.template),
            min_ready_seconds=manifests.min_ready_of(owners[revision.deployment_id].manifest),
        )
        for pk, revision in revisions.items()
    }


def _candidate(
    row: Mapping[str, Any], template: _Template, places: Mapping[str, NodePlace]
) -> Candidate:
    place = places.get(row["node_id"] or "")
    return Candidate(
        uid=row["uid"],
        node=row["node_id"],
        node_state=place.state if place else NodeState.READY,
        phase=ReplicaPhase(row["phase"]),
        ready=row["ready"],
        ready_at=row["ready_at"],
        min_ready_seconds=template.min_ready_seconds,
        address=row["address"],
        named_ports=template.named_ports,
        reachable=tuple((inside, outside) for inside, outside in row["ports"]),
    )

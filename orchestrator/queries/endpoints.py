"""Which replicas services select and where they stand, in a fixed number of queries.

Read by whoever makes routes and by whoever shows them, so that both say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.constraints import Labels
from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase
from orchestrator.core.rotation import Candidate, selects
from orchestrator.manifests import deployment as manifests
from orchestrator.models import (
    Namespace,
    Replica,
    Revision,
    RevisionLabel,
    Service,
)

_MIN_READY = "deployment__manifest__spec__minReadySeconds"
_COLUMNS = (
    "uid",
    "node_id",
    "node__state",
    "node__address",
    "deployment__name",
    "phase",
    "ready",
    "ready_at",
    "address",
    "ports",
    "revision_id",
    "revision__rollout_hash",
    "deployment__namespace_id",
    _MIN_READY,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """What all replicas of one template have in common."""

    labels: Labels
    named_ports: tuple[tuple[str, int], ...]


def services_of(deployments: Collection[int]) -> list[int]:
    """Return the ids of services that may select replicas of these deployments (one query)."""
    pairs = RevisionLabel.objects.filter(revision__deployment__in=deployments).order_by()
    rooms = Namespace.objects.filter(deployment__in=deployments).order_by()
    found = Service.objects.filter(
        namespace__in=rooms.values("name"), anchor__in=pairs.values("pair")
    )
    return list(found.order_by("pk").values_list("pk", flat=True))


def selector_of(service: Service) -> Labels:
    """Return the labels that a service's replicas have."""
    return tuple(sorted(service.manifest["spec"]["selector"].items()))


def candidates(services: Sequence[Service]) -> dict[int, list[Candidate]]:
    """Return by service the replicas that its selector picks, gone ones left out.

    One query, and another for templates that this process has not met yet.
    """
    rows = _replicas(services)
    templates = _templates({row["revision__rollout_hash"]: row["revision_id"] for row in rows})
    by_anchor: dict[tuple[str, str], list[tuple[Labels, Candidate]]] = defaultdict(list)
    for row in rows:
        template = templates[row["revision__rollout_hash"]]
        found = _candidate(row, template)
        for key, value in template.labels:
            room = row["deployment__namespace_id"]
            by_anchor[room, f"{key}={value}"].append((template.labels, found))
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
        deployment__namespace__name__in={service.namespace_id for service in services},
    )
    # One that several services find comes several times.
    return list({row["uid"]: row for row in rows.order_by("uid").values(*_COLUMNS)}.values())


# By the digest of the template, so that what is kept can never be out of date.
_met: dict[str, _Template] = {}
_MET_AT_MOST = 20_000


def _templates(revisions: Mapping[str, int]) -> dict[str, _Template]:
    """Return what templates say, by digest; `revisions` names a revision that has each."""
    known = {digest: _met[digest] for digest in revisions if digest in _met}
    missing = [pk for digest, pk in revisions.items() if digest not in known]
    if missing:
        if len(_met) > _MET_AT_MOST:
            _met.clear()
        rows = Revision.objects.filter(pk__in=missing).order_by()
        for digest, template in rows.values_list("rollout_hash", "template"):
            known[digest] = _met[digest] = _Template(
                labels=manifests.labels_of(template),
                named_ports=manifests.port_names_of(template),
            )
    return known


def _candidate(row: Mapping[str, Any], template: _Template) -> Candidate:
    return Candidate(
        uid=row["uid"],
        deployment=row["deployment__name"],
        node=row["node_id"],
        node_state=NodeState(row["node__state"] or NodeState.READY),
        node_address=row["node__address"] or "",
        phase=ReplicaPhase(row["phase"]),
        ready=row["ready"],
        ready_at=row["ready_at"],
        min_ready_seconds=int(row[_MIN_READY] or 0),
        address=row["address"],
        named_ports=template.named_ports,
        reachable=tuple((inside, outside) for inside, outside in row["ports"]),
    )

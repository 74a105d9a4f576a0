"""Which replicas services select and where they stand, in a fixed number of queries.

Read by whoever makes routes and by whoever shows them, so that both say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
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
    ServicePort,
)

# The digest of its template, a revision that has it, and the namespace; then the columns.
_Owner = tuple[str, int, str]
_Row = tuple[Any, ...]

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
    _MIN_READY,
)
# What a replica has of its template and its room.
_TEMPLATE = ("revision__rollout_hash", "revision_id", "deployment__namespace_id")
# Looked up, because making a member of its value takes longer, and there are thousands.
_PHASES = {str(phase): phase for phase in ReplicaPhase}
_STATES = {str(state): state for state in NodeState} | {None: NodeState.READY, "": NodeState.READY}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Template:
    """What all replicas of one template have in common."""

    labels: Labels
    pairs: tuple[str, ...]
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
    templates = _templates({digest: revision for (digest, revision, _), _ in rows})
    wanted = {(service.namespace_id, service.anchor) for service in services}
    by_anchor: dict[tuple[str, str], list[tuple[Labels, Candidate]]] = defaultdict(list)
    for (digest, _, room), row in rows:
        template = templates[digest]
        found = _candidate(row, template)
        for pair in template.pairs:
            if (room, pair) in wanted:
                by_anchor[room, pair].append((template.labels, found))
    return {service.pk: list(_selected(service, by_anchor)) for service in services}


def ports_of(services: Sequence[Service]) -> dict[int, list[ServicePort]]:
    """Return the ports of each service, in their order (one query)."""
    found: dict[int, list[ServicePort]] = {service.pk: [] for service in services}
    for port in ServicePort.objects.filter(service__in=found).order_by("pk"):
        found[port.service_id].append(port)
    return found


def _selected(
    service: Service, by_anchor: Mapping[tuple[str, str], list[tuple[Labels, Candidate]]]
) -> Iterator[Candidate]:
    """Yield those of the replicas with a service's anchor that its whole selector picks."""
    selector = selector_of(service)
    known: dict[Labels, bool] = {}
    for labels, candidate in by_anchor.get((service.namespace_id, service.anchor), ()):
        if labels not in known:
            known[labels] = selects(selector, labels)
        if known[labels]:
            yield candidate


def _replicas(services: Sequence[Service]) -> list[tuple[_Owner, _Row]]:
    rows = Replica.objects.exclude(phase__in=GONE_PHASES).filter(
        revision__label_set__pair__in={service.anchor for service in services},
        deployment__namespace__name__in={service.namespace_id for service in services},
    )
    found = rows.order_by("uid").values_list(*_TEMPLATE, *_COLUMNS)
    # One that several services find comes several times.
    return list({row[3]: (row[:3], row[3:]) for row in found}.values())


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
            labels = manifests.labels_of(template)
            known[digest] = _met[digest] = _Template(
                labels=labels,
                pairs=tuple(f"{key}={value}" for key, value in labels),
                named_ports=manifests.port_names_of(template),
            )
    return known


def _candidate(row: _Row, template: _Template) -> Candidate:
    uid, node, state, node_address, deployment, phase, ready, ready_at, address, ports, least = row
    return Candidate(
        uid=uid,
        deployment=deployment,
        node=node,
        node_state=_STATES[state],
        node_address=node_address or "",
        phase=_PHASES[phase],
        ready=ready,
        ready_at=ready_at,
        min_ready_seconds=int(least or 0),
        address=address,
        named_ports=template.named_ports,
        reachable=tuple((inside, outside) for inside, outside in ports),
    )

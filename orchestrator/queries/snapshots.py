"""Rows to `core.Snapshot`, in a fixed number of queries: the only place that knows both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Count

from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase, RolloutState
from orchestrator.core.snapshot import (
    NodeView,
    ReplicaView,
    RevisionView,
    RolloutView,
    Snapshot,
)
from orchestrator.core.spec import Resources
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Deployment, Node, Replica, Revision


def load(deployment: Deployment, revisions: Sequence[Revision], *, now: datetime) -> Snapshot:
    """Return everything the planner may look at for one deployment (3 queries).

    `revisions` are all of the deployment's, in the order of their numbers.
    """
    replicas = deployment.replica_set.exclude(phase__in=GONE_PHASES).defer("log_tail")
    return _snapshot(deployment, revisions, replicas, nodes(), now)


def load_all(deployments: Iterable[Deployment], *, now: datetime) -> list[Snapshot]:
    """Return the snapshots of many deployments, in their order (5 queries)."""
    wanted, everywhere = list(deployments), nodes()
    revisions: dict[int, list[Revision]] = defaultdict(list)
    for revision in Revision.objects.filter(deployment__in=wanted).order_by("number"):
        revisions[revision.deployment_id].append(revision)
    replicas: dict[int, list[Replica]] = defaultdict(list)
    rows = Replica.objects.filter(deployment__in=wanted).exclude(phase__in=GONE_PHASES)
    for replica in rows.defer("log_tail"):
        replicas[replica.deployment_id].append(replica)
    return [
        _snapshot(deployment, revisions[deployment.pk], replicas[deployment.pk], everywhere, now)
        for deployment in wanted
    ]


def _snapshot(
    deployment: Deployment,
    revisions: Sequence[Revision],
    replicas: Iterable[Replica],
    everywhere: tuple[NodeView, ...],
    now: datetime,
) -> Snapshot:
    return Snapshot(
        now=now,
        deployment=str(deployment),
        spec=manifests.spec_of(manifests.with_defaults(deployment.manifest)),
        current=deployment.revision,
        deleting=deployment.deleting,
        rollout=rollout_of(deployment),
        revisions=tuple(_revision(revision) for revision in revisions),
        replicas=_replicas(replicas, {revision.pk: revision.number for revision in revisions}),
        nodes=everywhere,
    )


def rollout_of(deployment: Deployment) -> RolloutView:
    """Return what the latest pass remembered about the rollout."""
    return RolloutView(
        state=RolloutState(deployment.rollout_state),
        scaled_for=deployment.scaled_for,
        scaled_max=deployment.scaled_max,
        progressed_at=deployment.progressed_at,
        updated=deployment.seen_updated,
        old=deployment.seen_old,
        ready=deployment.seen_ready,
        available=deployment.seen_available,
    )


def nodes() -> tuple[NodeView, ...]:
    """Return every node with the number of replicas it carries (2 queries)."""
    placed = Replica.objects.exclude(phase__in=GONE_PHASES).exclude(node=None).order_by()
    carried = dict(placed.values_list("node_id").annotate(Count("pk")))
    return tuple(
        NodeView(
            name=node.name,
            state=NodeState(node.state),
            cordoned=node.cordoned,
            draining=node.draining,
            drain_until=node.drain_until if node.draining else None,
            lost_at=node.lost_at,
            labels=tuple(sorted(node.labels.items())),
            runtimes=tuple(node.runtimes),
            replicas=carried.get(node.name, 0),
        )
        for node in Node.objects.order_by("name")
    )


def resources_from(stored: Mapping[str, Any]) -> Resources:
    """Read resources as a replica row keeps them."""
    return Resources(**stored)


def _revision(revision: Revision) -> RevisionView:
    template = revision.template
    return RevisionView(
        number=revision.number,
        desired=revision.desired,
        resources=manifests.resources_of(template),
        runtime_class=manifests.runtime_class_of(template),
        node_selector=manifests.node_selector_of(template),
        image=manifests.image_of(template),
        completed=revision.completed_at is not None,
        is_rollback=revision.is_rollback,
        created_at=revision.created_at,
    )


def _replicas(rows: Iterable[Replica], numbers: Mapping[int, int]) -> tuple[ReplicaView, ...]:
    views = (
        ReplicaView(
            uid=row.uid,
            revision=numbers[row.revision_id],
            slot=row.slot,
            node=row.node_id,
            phase=ReplicaPhase(row.phase),
            ready=row.ready,
            ready_at=row.ready_at,
            restarts=row.restarts,
            deletion_cost=row.deletion_cost,
            resources=resources_from(row.resources),
            update_failed=row.update_failed,
            waiting=row.waiting,
            created_at=row.created_at,
        )
        for row in rows
    )
    return tuple(sorted(views, key=lambda view: (view.revision, view.slot, view.uid)))

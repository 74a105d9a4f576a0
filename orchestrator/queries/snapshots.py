"""Rows to `core.Snapshot`, in a fixed number of queries: the only place that knows both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum

from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase, RolloutState
from orchestrator.core.snapshot import (
    MoveView,
    NeighbourView,
    NodeView,
    ReplicaView,
    RevisionView,
    RolloutView,
    Snapshot,
)
from orchestrator.core.spec import NOTHING, Amounts, ReschedulePolicy, Resources
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests import placing
from orchestrator.models import Deployment, MoveState, Node, RebalanceMove, Replica, Revision

FAILURES_COUNT_FOR = timedelta(minutes=10)


def load(deployment: Deployment, revisions: Sequence[Revision], *, now: datetime) -> Snapshot:
    """Return everything the planner may look at for one deployment (at most 7 queries).

    `revisions` are all of the deployment's, in the order of their numbers.
    """
    views = tuple(_revision(revision) for revision in revisions)
    images = {row.pk: view.image for row, view in zip(revisions, views, strict=True)}
    snapshot = _snapshot(
        deployment,
        views,
        _replicas(
            deployment.replica_set.exclude(phase__in=GONE_PHASES).defer("log_tail"),
            {revision.pk: revision.number for revision in revisions},
        ),
        _nodes(_history(deployment, images, now)),
        _neighbours(deployment, everyone=any(v.rules.look_at_replicas for v in views)),
        now,
    )
    return replace(snapshot, asked=_asked([deployment]).get(deployment.pk, ()))


def load_all(deployments: Iterable[Deployment], *, now: datetime) -> list[Snapshot]:
    """Return the snapshots of many deployments, in their order, without what nodes have seen.

    6 queries (7 while anything is rebalanced), and 2 more for each deployment with rules about who
    runs beside it.
    """
    wanted, everywhere = list(deployments), _nodes({})
    asked = _asked(wanted)
    revisions: dict[int, list[Revision]] = defaultdict(list)
    for revision in Revision.objects.filter(deployment__in=wanted).order_by("number"):
        revisions[revision.deployment_id].append(revision)
    replicas: dict[int, list[Replica]] = defaultdict(list)
    rows = Replica.objects.exclude(phase__in=GONE_PHASES).order_by()
    for replica in rows.filter(deployment__in=wanted).defer("log_tail"):
        replicas[replica.deployment_id].append(replica)
    repelling = rows.filter(revision__repels=True).exclude(node=None)
    choosy = set(repelling.values_list("deployment__namespace__name", flat=True).distinct())
    found = []
    for deployment in wanted:
        own = revisions[deployment.pk]
        views = tuple(_revision(revision) for revision in own)
        everyone = any(view.rules.look_at_replicas for view in views)
        looks = everyone or deployment.namespace_id in choosy
        snapshot = _snapshot(
            deployment,
            views,
            _replicas(replicas[deployment.pk], {row.pk: row.number for row in own}),
            everywhere,
            _neighbours(deployment, everyone=everyone) if looks else (),
            now,
        )
        found.append(replace(snapshot, asked=asked.get(deployment.pk, ())))
    return found


def _snapshot(
    deployment: Deployment,
    revisions: tuple[RevisionView, ...],
    replicas: tuple[ReplicaView, ...],
    nodes: tuple[NodeView, ...],
    neighbours: tuple[NeighbourView, ...],
    now: datetime,
) -> Snapshot:
    return Snapshot(
        now=now,
        deployment=str(deployment),
        spec=manifests.spec_of(
            manifests.with_defaults(deployment.manifest), replicas=deployment.replicas
        ),
        current=deployment.revision,
        deleting=deployment.deleting,
        rollout=rollout_of(deployment),
        revisions=revisions,
        replicas=replicas,
        nodes=nodes,
        neighbours=neighbours,
        rescheduling=_reschedule_policy(),
    )


def _reschedule_policy() -> ReschedulePolicy:
    number, within, apart = settings.RESCHEDULE
    return ReschedulePolicy(
        failures=int(number), within=timedelta(seconds=within), apart=timedelta(seconds=apart)
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


def reserved_for(replica: Replica) -> Amounts:
    """Return what a node keeps free for a replica."""
    return Amounts(
        cpu_millis=replica.cpu_millis_requested, memory_bytes=replica.memory_bytes_requested
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
        labels=manifests.labels_of(template),
        rules=placing.rules_of(template),
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
            reserved=reserved_for(row),
            update_failed=row.update_failed,
            waiting=row.waiting,
            failures=tuple(datetime.fromtimestamp(at, tz=UTC) for at in row.failures),
            replaces=row.replaces,
            moves=row.moves,
            created_at=row.created_at,
        )
        for row in rows
    )
    return tuple(sorted(views, key=lambda view: (view.revision, view.slot, view.uid)))


@dataclass(frozen=True, slots=True)
class _History:
    """What a node has seen of one deployment, gone replicas included."""

    failures: int = 0
    images: frozenset[str] = frozenset()


_NO_HISTORY = _History()


def _history(
    deployment: Deployment, images: Mapping[int, str], now: datetime
) -> dict[str, _History]:
    """Return by node how many replicas failed there lately, and which images have run there."""
    lately = Q(failed_at__gt=now - FAILURES_COUNT_FOR)
    rows = deployment.replica_set.exclude(node=None).order_by()
    counted = rows.values_list("node_id", "revision_id").annotate(
        failed=Count("pk", filter=lately), started=Count("started_at")
    )
    found: dict[str, _History] = {}
    for node, revision, failed, started in counted:
        known = found.get(node, _NO_HISTORY)
        image = {images[revision]} if started else set()
        found[node] = _History(known.failures + failed, known.images | image)
    return found


def _nodes(history: Mapping[str, _History]) -> tuple[NodeView, ...]:
    """Return every node with what it carries of all deployments."""
    placed = Replica.objects.exclude(phase__in=GONE_PHASES).exclude(node=None).order_by()
    sums = placed.values("node_id").annotate(
        replicas=Count("pk"), cpu=Sum("cpu_millis_requested"), memory=Sum("memory_bytes_requested")
    )
    carried = {
        str(row["node_id"]): (
            int(row["replicas"]),
            Amounts(cpu_millis=row["cpu"], memory_bytes=row["memory"]),
        )
        for row in sums
    }
    return tuple(
        _node(node, *carried.get(node.name, (0, NOTHING)), history.get(node.name, _NO_HISTORY))
        for node in Node.objects.order_by("name")
    )


def _node(node: Node, replicas: int, reserved: Amounts, history: _History) -> NodeView:
    return NodeView(
        name=node.name,
        state=NodeState(node.state),
        cordoned=node.cordoned,
        draining=node.draining,
        drain_until=node.drain_until if node.draining else None,
        lost_at=node.lost_at,
        labels=tuple(sorted(node.all_labels.items())),
        taints=tuple(placing.taint_of(taint) for taint in node.taints),
        runtimes=tuple(node.runtimes),
        replicas=replicas,
        capacity=Amounts(cpu_millis=node.cpu_millis, memory_bytes=node.memory_bytes),
        reserved=reserved,
        failures=history.failures,
        images=history.images,
    )


def _asked(deployments: Iterable[Deployment]) -> Mapping[int, tuple[MoveView, ...]]:
    """Return by deployment the moves people asked for; where there are none, nothing is read."""
    found: dict[int, list[MoveView]] = defaultdict(list)
    concerned = [deployment for deployment in deployments if deployment.rebalancing]
    if concerned:
        rows = RebalanceMove.objects.filter(deployment__in=concerned, state=MoveState.OPEN)
        for row in rows.order_by("pk"):
            found[int(row.deployment_id or 0)].append(
                MoveView(
                    id=row.pk,
                    replica=row.replica,
                    source=row.source,
                    target=row.target,
                    why=row.gain,
                )
            )
    return {pk: tuple(moves) for pk, moves in found.items()}


def _neighbours(deployment: Deployment, *, everyone: bool) -> tuple[NeighbourView, ...]:
    """Return the namespace's other replicas: all, or those that want to be apart from somebody."""
    rows = Replica.objects.exclude(phase__in=GONE_PHASES).exclude(node=None).order_by()
    rows = rows.filter(deployment__namespace__name=deployment.namespace_id)
    rows = rows.exclude(deployment=deployment)
    if not everyone:
        rows = rows.filter(revision__repels=True)
    leaving = Count("pk", filter=Q(phase=ReplicaPhase.STOPPING))
    groups = list(
        rows.values_list("node_id", "revision_id").annotate(every=Count("pk"), leaving=leaving)
    )
    revisions = Revision.objects.in_bulk({revision for _, revision, _, _ in groups})
    return tuple(
        NeighbourView(
            node=node,
            labels=manifests.labels_of(revisions[revision].template),
            live=every - gone,
            leaving=gone,
            apart=placing.rules_of(revisions[revision].template).apart_required,
        )
        for node, revision, every, gone in sorted(groups)
    )

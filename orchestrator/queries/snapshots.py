"""Rows to `core.Snapshot`, in a fixed number of queries: the only place that knows both."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast

from orchestrator.core.lifecycle import (
    GONE_PHASES,
    LEAVING_PHASES,
    NodeState,
    RolloutState,
)
from orchestrator.core.snapshot import (
    GatewayView,
    MoveView,
    NeighbourView,
    NodeView,
    ReplicaView,
    RevisionView,
    RolloutView,
    Snapshot,
)
from orchestrator.core.spec import Amounts, ReschedulePolicy
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests import placing
from orchestrator.models import (
    Deployment,
    MoveState,
    Node,
    RebalanceMove,
    Replica,
    Revision,
)
from orchestrator.queries import gateways
from orchestrator.queries.views import (
    as_text,
    replica_views,
    revision_view,
    spec_of,
    with_routes,
)

FAILURES_COUNT_FOR = timedelta(minutes=10)
_SEEN_OF_DEPLOYMENT = (
    "namespace_id",
    "name",
    "replicas",
    "scaled_by",
    "revision",
    "deleting",
    "rebalancing",
    "rollout_state",
    "scaled_for",
    "scaled_max",
    "progressed_at",
    "seen_updated",
    "seen_old",
    "seen_ready",
    "seen_available",
)
_SEEN_OF_REVISION = (
    "pk",
    "deployment_id",
    "number",
    "desired",
    "completed_at",
    "is_rollback",
    "created_at",
    "text",
)


def load(deployment: Deployment, revisions: Sequence[Revision], *, now: datetime) -> Snapshot:
    """Return everything the planner may look at for one deployment (at most 7 queries).

    `revisions` are all of the deployment's, in the order of their numbers.
    """
    views = tuple(revision_view(row, as_text(row.template)) for row in revisions)
    images = {row.pk: view.image for row, view in zip(revisions, views, strict=True)}
    snapshot = _snapshot(
        deployment,
        views,
        replica_views(
            with_routes(deployment.replica_set.exclude(phase__in=GONE_PHASES)),
            {revision.pk: revision.number for revision in revisions},
        ),
        _cluster(_history(deployment, images, now)),
        _neighbours(deployment, everyone=any(v.rules.look_at_replicas for v in views)),
        now,
    )
    return replace(snapshot, asked=_asked([deployment]).get(deployment.pk, ()))


def deployments() -> QuerySet[Deployment]:
    """Return all deployments, with what `load_all` reads of them and no more."""
    return Deployment.objects.only(*_SEEN_OF_DEPLOYMENT).annotate(
        manifest_text=Cast("manifest", TextField())
    )


def load_all(deployments: Iterable[Deployment], *, now: datetime) -> list[Snapshot]:
    """Return the snapshots of many deployments, in their order, without what nodes have seen.

    6 queries (7 while anything is rebalanced), and 2 more for each deployment with rules about who
    runs beside it.
    """
    wanted, everywhere = list(deployments), _cluster({})
    asked = _asked(wanted)
    revisions: dict[int, list[Any]] = defaultdict(list)
    kept = Revision.objects.filter(deployment__in=wanted).order_by("number")
    # As text: most templates were read before, and reading them is most of the work.
    for revision in kept.annotate(text=Cast("template", TextField())).values_list(
        *_SEEN_OF_REVISION, named=True
    ):
        revisions[revision.deployment_id].append(revision)
    replicas: dict[int, list[Any]] = defaultdict(list)
    rows = Replica.objects.exclude(phase__in=GONE_PHASES).order_by()
    for replica in with_routes(rows.filter(deployment__in=wanted)):
        replicas[replica.deployment_id].append(replica)
    repelling = rows.filter(revision__repels=True).exclude(node=None)
    choosy = set(repelling.values_list("deployment__namespace__name", flat=True).distinct())
    found = []
    for deployment in wanted:
        own = revisions[deployment.pk]
        views = tuple(revision_view(revision, revision.text) for revision in own)
        everyone = any(view.rules.look_at_replicas for view in views)
        looks = everyone or deployment.namespace_id in choosy
        snapshot = _snapshot(
            deployment,
            views,
            replica_views(replicas[deployment.pk], {row.pk: row.number for row in own}),
            everywhere,
            _neighbours(deployment, everyone=everyone) if looks else (),
            now,
        )
        found.append(replace(snapshot, asked=asked.get(deployment.pk, ())))
    return found


def with_failures(
    deployments: Sequence[Deployment], found: Sequence[Snapshot], *, now: datetime
) -> list[Snapshot]:
    """Return the snapshots of deployments with how often each has failed on each node lately."""
    lately = Replica.objects.filter(failed_at__gt=now - FAILURES_COUNT_FOR).exclude(node=None)
    groups = lately.order_by().values_list("deployment_id", "node_id").annotate(Count("pk"))
    failures = {(deployment, node): number for deployment, node, number in groups}
    failing = {deployment for deployment, _ in failures}
    return [
        snapshot
        if row.pk not in failing
        else replace(
            snapshot,
            nodes=tuple(
                replace(node, failures=failures.get((row.pk, node.name), 0))
                for node in snapshot.nodes
            ),
        )
        for row, snapshot in zip(deployments, found, strict=True)
    ]


def _snapshot(
    deployment: Deployment,
    revisions: tuple[RevisionView, ...],
    replicas: tuple[ReplicaView, ...],
    cluster: _Cluster,
    neighbours: tuple[NeighbourView, ...],
    now: datetime,
) -> Snapshot:
    return Snapshot(
        now=now,
        deployment=str(deployment),
        spec=spec_of(_manifest_of(deployment), deployment.replicas),
        current=deployment.revision,
        deleting=deployment.deleting,
        rollout=rollout_of(deployment),
        revisions=revisions,
        replicas=replicas,
        nodes=cluster.nodes,
        neighbours=neighbours,
        gateways=cluster.gateways if any(map(_is_known, replicas)) else (),
        rescheduling=_reschedule_policy(),
        asleep=_is_asleep(deployment),
    )


def _is_asleep(deployment: Deployment) -> bool:
    is_owned = bool(deployment.scaled_by) and deployment.replicas == 0
    return is_owned and manifests.declared_replicas(json.loads(_manifest_of(deployment))) != 0


def _manifest_of(deployment: Deployment) -> str:
    """Return the manifest as text: as it was selected, if it was."""
    selected: str | None = getattr(deployment, "manifest_text", None)
    return as_text(deployment.manifest) if selected is None else selected


def _reschedule_policy() -> ReschedulePolicy:
    number, within, apart = settings.RESCHEDULE
    return ReschedulePolicy(
        failures=int(number), within=timedelta(seconds=within), apart=timedelta(seconds=apart)
    )


def _is_known(view: ReplicaView) -> bool:
    """Tell whether gateways were ever told of a replica."""
    return view.routed or view.routes_generation > 0


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


@dataclass(frozen=True, slots=True)
class _History:
    """What a node has seen of one deployment, gone replicas included."""

    failures: int = 0
    images: frozenset[str] = frozenset()


_NO_HISTORY = _History()


@dataclass(frozen=True, slots=True)
class _Load:
    """How many replicas a node carries, and what they reserve."""

    replicas: int
    reserved: Amounts


_NO_LOAD = _Load(0, Amounts())
_OF_NODE = (
    "name",
    "state",
    "cordoned",
    "draining",
    "drain_until",
    "lost_at",
    "labels",
    "given_labels",
    "taints",
    "runtimes",
    "cpu_millis",
    "memory_bytes",
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cluster:
    """What every deployment sees of the nodes."""

    nodes: tuple[NodeView, ...]
    gateways: tuple[GatewayView, ...]


def _cluster(history: Mapping[str, _History]) -> _Cluster:
    """Return every node with what it carries of all deployments (2 queries)."""
    rows = Node.objects.order_by("name")
    nodes = list(rows.values_list(*_OF_NODE, *gateways.OF_NODE, named=True))
    loads = _loads()
    views = (
        _node(node, loads.get(node.name, _NO_LOAD), history.get(node.name, _NO_HISTORY))
        for node in nodes
    )
    return _Cluster(nodes=tuple(views), gateways=gateways.waited_for_on(nodes))


def _loads() -> dict[str, _Load]:
    """Return what each node carries: also what is still to be stopped.

    That may be a replica that was given up with its node, which has come back. Not in one query
    with the nodes: grouping all of their columns by every replica costs more than both.
    """
    there = ~Q(phase__in=GONE_PHASES) | Q(lingers=True)
    rows = Replica.objects.filter(there).exclude(node=None).order_by().values_list("node_id")
    sums = rows.annotate(
        Count("pk"),
        cpu=Sum("cpu_millis_requested", default=0),
        memory=Sum("memory_bytes_requested", default=0),
    )
    return {
        node: _Load(replicas, Amounts(cpu_millis=cpu, memory_bytes=memory))
        for node, replicas, cpu, memory in sums
    }


def _node(node: Any, load: _Load, history: _History) -> NodeView:
    return NodeView(
        name=node.name,
        state=NodeState(node.state),
        cordoned=node.cordoned,
        draining=node.draining,
        drain_until=node.drain_until if node.draining else None,
        lost_at=node.lost_at,
        labels=tuple(sorted({**node.labels, **node.given_labels}.items())),
        taints=tuple(placing.taint_of(taint) for taint in node.taints),
        runtimes=tuple(node.runtimes),
        replicas=load.replicas,
        capacity=Amounts(cpu_millis=node.cpu_millis, memory_bytes=node.memory_bytes),
        reserved=load.reserved,
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
    leaving = Count("pk", filter=Q(phase__in=LEAVING_PHASES))
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

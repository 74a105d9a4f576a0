"""Read models of nodes, in one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from orchestrator.core.constraints import Taint
from orchestrator.core.lifecycle import (
    GONE_PHASES,
    LEAVING_PHASES,
    LIVE_PHASES,
    ReplicaPhase,
)
from orchestrator.manifests import placing
from orchestrator.models import MetricBlock, Node
from orchestrator.queries.rows import Rows

BAR = 24
# A node measures every few seconds; what is older says nothing about now.
MEASURED_LATELY = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """One node as people and scripts read it; `replicas` are those it carries now.

    What is reserved is what these request; what is used is what the node measured lately, None when
    it did not. `given_labels` are people's, among all `labels`.
    """

    name: str
    state: str
    cordoned: bool
    draining: bool
    drained_at: datetime | None
    lost_at: datetime | None
    doubted: bool
    silent_since: datetime | None
    lost_due_at: datetime | None
    refusal: str
    refused_at: datetime | None
    labels: dict[str, str]
    given_labels: dict[str, str]
    taints: tuple[Taint, ...]
    runtimes: tuple[str, ...]
    notes: tuple[str, ...]
    strangers: tuple[str, ...]
    cpu_millis: int
    memory_bytes: int
    cpu_millis_reserved: int
    memory_bytes_reserved: int
    cpu_millis_used: int | None
    memory_bytes_used: int | None
    replicas: int
    release: str
    address: str
    joined_at: datetime
    seen_at: datetime
    ready: int
    unready: int
    coming: int
    stopping: int

    @property
    def shares(self) -> list[tuple[str, range]]:
        """Return each kind of replica with its part of a bar of at most `BAR` pieces."""
        scale = min(1.0, BAR / max(1, self.replicas))
        kinds = ("ready", "coming", "unready", "stopping")
        counts = ((kind, getattr(self, kind)) for kind in kinds)
        return [(kind, range(max(1, round(n * scale)))) for kind, n in counts if n]


def select() -> Rows[NodeRecord]:
    """Return every node, by name."""
    return Rows(_counted(), _record)


def get(name: str) -> NodeRecord | None:
    """Return one node, or None."""
    row = _counted().filter(name=name).first()
    return _record(row) if row is not None else None


def _counted() -> QuerySet[Node]:
    there = ~Q(replica__phase__in=GONE_PHASES)
    running = Q(replica__phase=ReplicaPhase.RUNNING)
    coming = Q(replica__phase__in=LIVE_PHASES) & ~running
    # Only the place of a node in the value: a row holds the samples of its replicas as well.
    lately = MetricBlock.objects.filter(
        node=OuterRef("name"), seconds=0, at__gt=timezone.now() - MEASURED_LATELY
    )
    return Node.objects.annotate(
        measured=Subquery(lately.order_by("-at").values("samples__node")[:1]),
        carried=Count("replica", filter=there),
        cpu_reserved=_sum("replica__cpu_millis_requested", there),
        memory_reserved=_sum("replica__memory_bytes_requested", there),
        ready=Count("replica", filter=running & Q(replica__ready=True)),
        unready=Count("replica", filter=running & Q(replica__ready=False)),
        coming=Count("replica", filter=coming),
        stopping=Count("replica", filter=Q(replica__phase__in=LEAVING_PHASES)),
    ).order_by("name")


def _sum(what: str, which: Q) -> Coalesce:
    return Coalesce(Sum(what, filter=which), 0)


def _record(row: Any) -> NodeRecord:
    used = row.measured or (None, None)
    return NodeRecord(
        name=row.name,
        state=row.state,
        cordoned=row.cordoned,
        draining=row.draining,
        drained_at=row.drained_at if row.draining else None,
        lost_at=row.lost_at,
        doubted=row.doubted,
        silent_since=row.silent_since,
        lost_due_at=row.lost_due_at,
        refusal=row.refusal,
        refused_at=row.refused_at,
        labels=row.all_labels,
        given_labels=row.given_labels,
        taints=tuple(placing.taint_of(taint) for taint in row.taints),
        runtimes=tuple(row.runtimes),
        notes=tuple(row.notes),
        strangers=tuple(row.strangers),
        cpu_millis=row.cpu_millis,
        memory_bytes=row.memory_bytes,
        cpu_millis_reserved=row.cpu_reserved,
        memory_bytes_reserved=row.memory_reserved,
        cpu_millis_used=used[0],
        memory_bytes_used=used[1],
        replicas=row.carried,
        release=row.release,
        address=row.address,
        joined_at=row.joined_at,
        seen_at=row.seen_at,
        ready=row.ready,
        unready=row.unready,
        coming=row.coming,
        stopping=row.stopping,
    )

"""Why replicas wait for a node, or to be stopped: as of the latest pass, and asked as of now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from orchestrator.core import withdrawal
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement.explanation import Explanation
from orchestrator.core.placement.placer import Placer
from orchestrator.models import Replica
from orchestrator.queries import snapshots


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Replicas of a deployment that wait for a node with the same sentence; `uid` is one of them.

    `since` is when the first of them was planned.
    """

    namespace: str
    deployment: str
    number: int
    uid: str
    why: str
    since: datetime


def longest(most: int) -> list[Waiting]:
    """Return what waits for a node, the longest first (1 query)."""
    rows = Replica.objects.filter(phase=ReplicaPhase.PENDING, node=None).exclude(waiting="")
    groups = rows.values_list("deployment__namespace_id", "deployment__name", "waiting").annotate(
        number=Count("pk"), uid=Min("uid"), since=Min("created_at")
    )
    return [
        Waiting(namespace=namespace, deployment=name, number=number, uid=uid, why=why, since=since)
        for namespace, name, why, number, uid, since in groups.order_by("since", "uid")[:most]
    ]


def leaving(uid: str, *, now: datetime) -> str:
    """Return what a withdrawn replica still waits for before it stops; empty for every other."""
    rows = Replica.objects.filter(uid=uid, phase=ReplicaPhase.WITHDRAWN)
    row = rows.select_related("deployment").first()
    if row is None:
        return ""
    snapshot = snapshots.load(
        row.deployment, list(row.deployment.revisions.order_by("number")), now=now
    )
    found = [view for view in snapshot.replicas if view.uid == uid]
    return withdrawal.waits_for(found[0], snapshot) if found else ""


def explanation(uid: str, *, now: datetime) -> Explanation | None:
    """Return what each node has against the replica; None when it does not wait for a node.

    The same function decides in a pass, which keeps only the sentence: of many nodes all reasons
    of all waiting replicas would be written again with everything that starts or stops.
    """
    rows = Replica.objects.filter(uid=uid, phase=ReplicaPhase.PENDING, node=None)
    row = rows.select_related("deployment", "revision").first()
    if row is None:
        return None
    revisions = list(row.deployment.revisions.order_by("number"))
    snapshot = snapshots.load(row.deployment, revisions, now=now)
    (revision,) = [view for view in snapshot.revisions if view.number == row.revision.number]
    return Placer(snapshot).explain(revision)

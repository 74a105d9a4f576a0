"""Why a replica waits for a node, asked of every node as it is now."""

from __future__ import annotations

from datetime import datetime

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement.explanation import Explanation
from orchestrator.core.placement.placer import Placer
from orchestrator.models import Replica
from orchestrator.queries import snapshots


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

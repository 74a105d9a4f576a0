"""Forget old revisions beyond the history limit, never one in use or worth going back to."""

from __future__ import annotations

from orchestrator.core.plan import PruneRevision
from orchestrator.core.progress import latest_completed
from orchestrator.core.snapshot import Snapshot


def prune(snapshot: Snapshot, *, left: frozenset[int]) -> tuple[PruneRevision, ...]:
    """Return the revisions to forget, oldest first; `left` have no replica and should have none."""
    target = latest_completed(snapshot)
    old = [
        view.number
        for view in snapshot.revisions
        if view.number in left and view.number != snapshot.current
    ]
    excess = max(0, len(old) - snapshot.spec.revision_history_limit)
    kept = target.number if target else None
    return tuple(PruneRevision(revision=number) for number in old[:excess] if number != kept)

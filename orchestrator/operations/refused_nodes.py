"""Nodes whose reports are dropped although they run: said where people look, and not too often."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from orchestrator.models import NodeIdentity, Severity
from orchestrator.operations import announce, events
from worker.envelope import LASTING, Refused

REASON = "NodeRefused"
TOLD_EVERY = timedelta(minutes=10)
# Reports that waited out an absence of ours are old as well, but not for long.
PATIENCE = timedelta(seconds=30)
_UNKNOWN = "unknown"

_seen: dict[tuple[str, str], datetime] = {}
_told: dict[tuple[str, str], datetime] = {}
_lock = threading.Lock()


def tell(node: str, refused: Refused, *, now: float) -> None:
    """Write an event when a node's reports are refused for a reason that does not go away.

    At most one for a node and reason in ten minutes. All machines that never joined count as one:
    their names are anybody's choice.
    """
    if refused.why not in LASTING | {_UNKNOWN}:
        return
    at = datetime.fromtimestamp(now, UTC)
    is_node = NodeIdentity.objects.filter(name=node).exists() if refused.why != _UNKNOWN else False
    name = node if is_node else ""
    if not _is_due((name, refused.why), at, PATIENCE if refused.why == "expired" else None):
        return
    whose = f"reports of node {name} are refused" if name else "reports are refused"
    events.about_node(
        name, reason=REASON, message=f"{whose}: {refused}", now=at, severity=Severity.WARNING
    ).save()
    if name:
        announce.changed(announce.node_topic(name))


def _is_due(key: tuple[str, str], at: datetime, patience: timedelta | None) -> bool:
    with _lock:
        first = _seen.setdefault(key, at)
        if at - first > TOLD_EVERY:
            first = _seen[key] = at
        if patience is not None and at - first < patience:
            return False
        if key in _told and at - _told[key] < TOLD_EVERY:
            return False
        _told[key] = at
        return True

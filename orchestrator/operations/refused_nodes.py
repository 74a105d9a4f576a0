"""Nodes whose reports are dropped although they run: said where people look, and not too often."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from orchestrator.models import Node, NodeIdentity, Severity
from orchestrator.operations import announce, events
from worker.envelope import LASTING, Refused

REASON = "NodeRefused"
TOLD_EVERY = timedelta(minutes=10)
# Reports that waited out an absence of ours are old as well, but not for long.
PATIENCE = timedelta(seconds=30)
_UNKNOWN = "unknown"

_seen: dict[tuple[str, str], datetime] = {}
_told: dict[tuple[str, str], datetime] = {}
_latest: dict[str, tuple[datetime, str]] = {}
_lock = threading.Lock()


def note(node: str, refused: Refused, at: datetime) -> None:
    """Remember for a moment why a node that joined is not believed."""
    if refused.why in LASTING:
        with _lock:
            _latest[node] = at, str(refused)


def believe(names: Iterable[str]) -> None:
    """Forget why nodes were refused: they are believed."""
    with _lock:
        for name in names:
            _latest.pop(name, None)


def why_unheard(node: str, at: datetime) -> str:
    """Return why what a node says is refused now; empty when nothing of it was lately."""
    with _lock:
        since, why = _latest.get(node, (at, ""))
    return why if abs(at - since) < PATIENCE else ""


def tell(node: str, refused: Refused, *, now: float) -> None:
    """Write an event, and a note on the node, when its reports are refused for a lasting reason.

    At most one for a node and reason in ten minutes. All machines that never joined count as one:
    their names are anybody's choice.
    """
    if refused.why not in LASTING | {_UNKNOWN}:
        return
    at = datetime.fromtimestamp(now, UTC)
    note(node, refused, at)
    is_node = NodeIdentity.objects.filter(name=node).exists() if refused.why != _UNKNOWN else False
    name = node if is_node else ""
    if not _is_due((name, refused.why), at, PATIENCE if refused.why == "expired" else None):
        return
    whose = f"reports of node {name} are refused" if name else "reports are refused"
    events.about_node(
        name, reason=REASON, message=f"{whose}: {refused}", now=at, severity=Severity.WARNING
    ).save()
    if name:
        told = f"its reports are refused: {refused}"
        Node.objects.filter(name=name).update(refusal=told, refused_at=at)
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

"""Empty a node: close it, have its replicas replaced elsewhere, and say when it is empty.

The planner does the moving, deployment by deployment (`core/migrating.py`); here it is only asked
for. Opening the node again ends it: what has moved stays where it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from orchestrator.core.lifecycle import GONE_PHASES
from orchestrator.models import Node, Replica
from orchestrator.operations import announce, events, nodes
from orchestrator.operations.events import Act, Change

LONGEST = timedelta(days=30)


class DeadlineOutOfRange(ValueError):
    """The time for a drain makes no sense."""

    def __init__(self) -> None:
        super().__init__(
            "the deadline of a drain is a number of seconds from 1 to "
            f"{LONGEST.total_seconds():.0f}; leave it out to wait for as long as it takes"
        )


def drain(name: str, change: Change, *, deadline_seconds: int | None = None) -> Node:
    """Close a node and move everything off it; what is left at the deadline stops all the same.

    Asked again, it only sets the deadline anew.

    Raises:
        DeadlineOutOfRange: the deadline makes no sense.
        NodeNotFound: there is no such node.
    """
    if deadline_seconds is not None and not 0 < deadline_seconds <= LONGEST.total_seconds():
        raise DeadlineOutOfRange
    wait = None if deadline_seconds is None else timedelta(seconds=deadline_seconds)
    with transaction.atomic():
        node = nodes.lock(name)
        if not node.draining:
            node.drain_started_at, node.drained_at = change.now, None
        node.cordoned = node.draining = True
        node.drain_until = None if wait is None else change.now + wait
        node.save()
        limit = f" within {deadline_seconds} s" if wait is not None else ""
        _record(node, change, "NodeDrain", f"node {name} is being drained{limit}")
        nodes.owe_passes(node)
        finish(node, now=change.now)
        announce.changed(announce.node_topic(name))
        return node


def finish(node: Node, *, now: datetime) -> None:
    """Note that a draining node is empty, once; in the transaction that holds its lock."""
    if not node.draining or node.drained_at is not None:
        return
    if Replica.objects.filter(node=node).exclude(phase__in=GONE_PHASES).exists():
        return
    node.drained_at = now
    node.save(update_fields=["drained_at"])
    message = f"node {node.name} is empty; it stays closed until it is uncordoned"
    events.about_node(node.name, reason="NodeDrained", message=message, now=now).save()
    announce.changed(announce.node_topic(node.name))


def _record(node: Node, change: Change, reason: str, message: str) -> None:
    event = events.about_node(node.name, reason=reason, message=message, now=change.now)
    act = Act(verb="drain", kind="node", name=node.name)
    events.done_by(change, event, act).save()

"""Nodes: what they say of themselves, whether they are heard, and what people decide about them."""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction

from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase
from orchestrator.core.wording import count
from orchestrator.manifests import node_change
from orchestrator.models import Deployment, Job, Node, NodeIdentity, Replica
from orchestrator.operations import announce, dispatch, events, routing, waiting
from orchestrator.operations.events import Act, Change
from worker import protocol

logger = logging.getLogger(__name__)

# A report that was taken ends what is said of refused ones, but not so fast that nobody reads it.
REFUSAL_STAYS = timedelta(minutes=1)
# All that a report without facts changes.
_HEARD = ("boot", "sequence", "seen_at", "refusal", "refused_at")


class NodeNotFound(LookupError):
    """No node of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'node "{name}" does not exist')


class NodeAlive(Exception):
    """A node that is heard cannot be forgotten."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f'node "{name}" is heard; drain it and end its worker, then forget it once it is silent'
        )


def lock(name: str) -> Node:
    """Return the node's row, locked until the transaction ends.

    Raises:
        NodeNotFound: there is no such node.
    """
    node = Node.objects.select_for_update(no_key=True).filter(name=name).first()
    if node is None:
        raise NodeNotFound(name)
    return node


def receive(report: protocol.NodeReport, *, now: datetime) -> Node | None:
    """Take what a report says about its node; None when an earlier boot sent it.

    A node that has never been heard of joins by its first report.
    """
    node = Node.objects.select_for_update(no_key=True).filter(name=report.node).first()
    if node is None:
        node = Node(name=report.node, joined_at=now, seen_at=now)
        events.about_node(
            report.node, reason="NodeJoined", message=f"node {report.node} joined", now=now
        ).save()
        node.save()
        announce.changed(announce.node_topic(node.name))
        waiting.wake()
        routing.owe_nodes(now=now)
    if report.boot < node.boot:
        return None
    if report.boot > node.boot:
        node.boot, node.sequence = report.boot, 0
    if report.sequence <= node.sequence:
        # Late, or played again: it says nothing about the node now, only of replicas then.
        return None if report.full else node
    node.sequence = report.sequence
    # Whether it is heard again is not for a report to say: it may be deaf (core/liveness.py).
    node.seen_at = now
    if node.refused_at is not None and now - node.refused_at > REFUSAL_STAYS:
        node.refusal, node.refused_at = "", None
    changed: tuple[str, ...] | None = _HEARD
    if report.facts is not None:
        _describe(node, report.facts, now)
        changed = None
    node.save(update_fields=changed)
    return node


def welcome(node: Node, *, now: datetime) -> None:
    """Note that a node is heard again; the caller holds its lock and saves it."""
    was_lost = node.state == NodeState.LOST
    node.state, node.lost_at, node.doubted = NodeState.READY, None, False
    node.silent_since, node.lost_due_at = None, None
    announce.changed(announce.node_topic(node.name))
    message = f"node {node.name} is heard again"
    if was_lost:
        message += "; of what was replaced meanwhile, one of the two stops"
    events.about_node(node.name, reason="NodeReady", message=message, now=now).save()
    owe_passes(node)
    waiting.wake()


def forget(name: str, change: Change) -> None:
    """Write off a node that will not come back, with all that ran there.

    Whoever does this states that nothing of it runs any more: also what must never run twice is
    replaced now.

    Raises:
        NodeNotFound: there is no such node.
        NodeAlive: it is heard.
    """
    with transaction.atomic():
        node = lock(name)
        if node.state == NodeState.READY:
            raise NodeAlive(name)
        owe_passes(node)
        gone = {"phase": ReplicaPhase.LOST, "ready": False, "ready_at": None}
        there = Replica.objects.filter(node=node)
        number = there.exclude(phase__in=GONE_PHASES).update(**gone, finished_at=change.now)
        there.update(node=None)
        Job.objects.filter(node=node).delete()
        NodeIdentity.objects.filter(name=name).delete()
        node.delete()
        message = f"node {name} is forgotten, with {count(number, 'replica')} that ran there"
        event = events.about_node(
            name, reason="NodeForgotten", message=message, now=change.now, severity="warning"
        )
        events.done_by(change, event, Act(verb="forget", kind="node", name=name)).save()
        announce.changed(announce.node_topic(name))
        routing.owe_nodes(now=change.now)


def set_cordoned(name: str, change: Change, *, cordoned: bool) -> Node:
    """Close a node to new replicas, or open it again; what runs there stays.

    Opening it ends a drain as well.

    Raises:
        NodeNotFound: there is no such node.
    """
    with transaction.atomic():
        node = lock(name)
        if node.cordoned != cordoned:
            node.cordoned = cordoned
            node.draining = node.draining and cordoned
            node.save(update_fields=["cordoned", "draining"])
            announce.changed(announce.node_topic(node.name))
            word = "cordoned" if cordoned else "uncordoned"
            event = events.about_node(
                name,
                reason=f"Node{word.capitalize()}",
                message=f"node {name} is {word}",
                now=change.now,
            )
            act = Act(verb="cordon" if cordoned else "uncordon", kind="node", name=name)
            events.done_by(change, event, act).save()
            if not cordoned:
                owe_passes(node)
                waiting.wake()
        return node


def _describe(node: Node, facts: protocol.NodeFacts, now: datetime) -> None:
    before = (node.labels, node.runtimes, node.cpu_millis, node.memory_bytes)
    if not node.release and not node.taints:
        # Only when it says for the first time what it is; from then on they are people's.
        node.taints = _taints_to_begin_with(facts)
    node.labels, node.runtimes = dict(facts.labels), list(facts.runtimes)
    node.cpu_millis, node.memory_bytes = facts.cpu_millis, facts.memory_bytes
    if before != (node.labels, node.runtimes, node.cpu_millis, node.memory_bytes):
        waiting.wake()
    node.notes = list(facts.notes)
    if node.address != facts.address:
        routing.owe_nodes(now=now)
    node.release, node.address = facts.release, facts.address


def _taints_to_begin_with(facts: protocol.NodeFacts) -> list[dict[str, str]]:
    """Return the taints a node asks for, without those that could be none here."""
    asked = [{"key": key, "value": value, "effect": effect} for key, value, effect in facts.taints]
    try:
        return [asdict(taint) for taint in node_change.read({"taints": asked}).taints or ()]
    except node_change.NodeChangeInvalid as problem:
        logger.warning("A node asks for taints that cannot be: %s", problem)
        return []


def owe_passes(node: Node) -> None:
    """Owe a pass to every deployment that has a replica on the node."""
    there = Replica.objects.filter(node=node).exclude(phase__in=GONE_PHASES).order_by()
    for pk in sorted(set(there.values_list("deployment_id", flat=True))):
        Deployment.objects.filter(pk=pk).update(settled=False)
        transaction.on_commit(partial(dispatch.nudge, pk))

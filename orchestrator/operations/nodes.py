"""Nodes: what they say of themselves, whether they are heard, and what people decide about them."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from orchestrator.core.lifecycle import NodeState
from orchestrator.models import Node
from orchestrator.operations import announce, events, waiting
from orchestrator.operations.events import Act, Change
from orchestrator.operations.transport import publish
from worker import protocol

SILENT_AFTER = timedelta(seconds=20)


class NodeNotFound(LookupError):
    """No node of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'node "{name}" does not exist')


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
    if report.boot < node.boot:
        return None
    if report.boot > node.boot:
        node.boot, node.sequence = report.boot, 0
    node.sequence = max(node.sequence, report.sequence)
    if node.state != NodeState.READY:
        node.state = NodeState.READY
        announce.changed(announce.node_topic(node.name))
        message = f"node {node.name} is heard again"
        events.about_node(node.name, reason="NodeReady", message=message, now=now).save()
        waiting.wake()
    node.seen_at = now
    if report.facts is not None:
        _describe(node, report.facts)
    node.save()
    return node


def set_cordoned(name: str, change: Change, *, cordoned: bool) -> Node:
    """Close a node to new replicas, or open it again; what runs there stays.

    Raises:
        NodeNotFound: there is no such node.
    """
    with transaction.atomic():
        node = Node.objects.select_for_update(no_key=True).filter(name=name).first()
        if node is None:
            raise NodeNotFound(name)
        if node.cordoned != cordoned:
            node.cordoned = cordoned
            node.save(update_fields=["cordoned"])
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
                waiting.wake()
        return node


def ping_all(*, now: datetime) -> int:
    """Put a ping on every node's own queue; its answer is a report that carries the token.

    Only a worker that really consumes its queue can answer, which a heartbeat cannot tell. A
    node that has been silent for long is asked rarely, so that its queue stays short.
    """
    sent = 0
    for node in Node.objects.order_by("name"):
        silence = now - node.seen_at
        if silence < timedelta(minutes=2) or int(now.timestamp()) % 60 < 5:
            token = f"{now.timestamp():.3f}"
            queue = protocol.node_queue(node.name)
            sent += publish(protocol.PING_TASK, queue, {"token": token})
    return sent


def mark_silent(*, now: datetime) -> int:
    """Mark every node not heard of for a while; return how many became silent.

    Nothing is stopped or moved for it: a silent node gets no new replicas until it speaks again.
    """
    silent = 0
    with transaction.atomic():
        quiet = Node.objects.select_for_update(no_key=True).filter(
            state=NodeState.READY, seen_at__lt=now - SILENT_AFTER
        )
        for node in quiet:
            silent += 1
            node.state = NodeState.SILENT
            node.save(update_fields=["state"])
            announce.changed(announce.node_topic(node.name))
            seconds = int((now - node.seen_at).total_seconds())
            events.about_node(
                node.name,
                reason="NodeSilent",
                message=f"node {node.name} has not been heard of for {seconds} s; "
                "it gets no new replicas until it speaks",
                now=now,
                severity="warning",
            ).save()
    return silent


def _describe(node: Node, facts: protocol.NodeFacts) -> None:
    before = (node.labels, node.runtimes, node.cpu_millis, node.memory_bytes)
    node.labels, node.runtimes = dict(facts.labels), list(facts.runtimes)
    node.cpu_millis, node.memory_bytes = facts.cpu_millis, facts.memory_bytes
    if before != (node.labels, node.runtimes, node.cpu_millis, node.memory_bytes):
        waiting.wake()
    node.notes = list(facts.notes)
    node.release, node.address = facts.release, facts.address

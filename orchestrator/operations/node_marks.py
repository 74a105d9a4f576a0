"""Labels and taints that people give to nodes; what runs there stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from django.db import transaction

from orchestrator.manifests.node_change import NodeChange
from orchestrator.manifests.placing import taint_of
from orchestrator.models import Node
from orchestrator.operations import announce, events, nodes, waiting
from orchestrator.operations.events import Act, Change

# What rules of Kubernetes manifests rely on; only the node itself knows them.
ITS_OWN = ("kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch")
_REASONS = {"label": "NodeLabelled", "taint": "NodeTainted"}


class LabelFixed(ValueError):
    """A label that only the node itself can change."""


def change_marks(name: str, wanted: NodeChange, change: Change) -> Node:
    """Set and take away labels, and replace the taints where some are given.

    Raises:
        NodeNotFound: there is no such node.
        LabelFixed: the node reports a label that is to be taken away, or it is always its own.
    """
    with transaction.atomic():
        node = nodes.lock(name)
        before = (_worded_labels(node), _worded_taints(node))
        node.given_labels = _labels_after(node, wanted.labels)
        if wanted.taints is not None:
            node.taints = [asdict(taint) for taint in wanted.taints]
        after = (_worded_labels(node), _worded_taints(node))
        node.save(update_fields=["given_labels", "taints"])
        for verb, old, new in zip(("label", "taint"), before, after, strict=True):
            if old != new:
                _tell(node.name, verb, old, new, change)
        if before != after:
            announce.changed(announce.node_topic(node.name))
            waiting.wake()
        return node


def _labels_after(node: Node, wanted: Mapping[str, str | None]) -> dict[str, str]:
    given = dict(node.given_labels)
    for key, value in wanted.items():
        if key in ITS_OWN:
            raise LabelFixed(f"{key} is set by node {node.name} itself and cannot be changed")
        if value is not None:
            given[key] = value
        elif key in given:
            del given[key]
        elif key in node.labels:
            raise LabelFixed(
                f"node {node.name} reports the label {key} itself; take it out of the --label "
                "options it is started with"
            )
    return given


def _worded_labels(node: Node) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(node.given_labels.items()))


def _worded_taints(node: Node) -> str:
    return ", ".join(str(taint_of(taint)) for taint in node.taints)


def _tell(name: str, verb: str, before: str, after: str, change: Change) -> None:
    message = f"{verb}s people gave to node {name}: {before or 'none'} → {after or 'none'}"
    event = events.about_node(name, reason=_REASONS[verb], message=message, now=change.now)
    act = Act(verb=verb, kind="node", name=name, before=before, after=after)
    events.done_by(change, event, act).save()

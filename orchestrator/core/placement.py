"""Pick a node: filter, rank, take the first. The same input gives the same answer.

Every filter is asked of every node, so that a replica that waits can say all that stands in its way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.snapshot import NodeView, ReplicaView, RevisionView

# Returns why a node cannot take a replica of the revision; empty when it can.
Filter = Callable[[NodeView, RevisionView], str]


def _is_heard(node: NodeView, revision: RevisionView) -> str:
    del revision
    return "" if node.state is NodeState.READY else f"is {node.state}"


def _is_open(node: NodeView, revision: RevisionView) -> str:
    del revision
    return "is cordoned" if node.cordoned else ""


def _has_labels(node: NodeView, revision: RevisionView) -> str:
    labels = dict(node.labels)
    missing = [
        f"{key}={value}" for key, value in revision.node_selector if labels.get(key) != value
    ]
    return f"lacks the label {', '.join(missing)}" if missing else ""


def _has_runtime(node: NodeView, revision: RevisionView) -> str:
    if not node.runtimes:
        return "has no usable runtime"
    if revision.runtime_class and revision.runtime_class not in node.runtimes:
        return f"lacks the runtime {revision.runtime_class}"
    return ""


FILTERS: tuple[Filter, ...] = (_is_heard, _is_open, _has_labels, _has_runtime)
SHOWN_REASONS = 5


class Placer:
    """Places replicas one after another, counting those it has placed."""

    def __init__(self, nodes: Iterable[NodeView], replicas: Iterable[ReplicaView]) -> None:
        self._nodes = tuple(nodes)
        self._own = Counter(replica.node for replica in replicas if replica.node is not None)
        self._all = Counter({node.name: node.replicas for node in self._nodes})

    def place(self, revision: RevisionView) -> tuple[str | None, str]:
        """Return the node for one more replica, or None and a sentence why there is none.

        Ranked by the fewest replicas of this deployment, then the fewest in all, then the name.
        """
        fitting = [node for node in self._nodes if not any(_objections(node, revision))]
        if not fitting:
            return None, self._explain(revision)
        best = min(fitting, key=lambda n: (self._own[n.name], self._all[n.name], n.name))
        self._own[best.name] += 1
        self._all[best.name] += 1
        return best.name, f"node {best.name} has the fewest replicas of this deployment"

    def _explain(self, revision: RevisionView) -> str:
        if not self._nodes:
            return "there is no node yet; start one with `manage.py node`"
        reasons: dict[str, list[str]] = {}
        for node in self._nodes:
            why = " and ".join(reason for reason in _objections(node, revision) if reason)
            reasons.setdefault(why, []).append(node.name)
        parts = [f"{_named(names)} {why}" for why, names in sorted(reasons.items())]
        more = f"; and {len(parts) - SHOWN_REASONS} more" if len(parts) > SHOWN_REASONS else ""
        return f"no node fits: {'; '.join(parts[:SHOWN_REASONS])}{more}"


def _objections(node: NodeView, revision: RevisionView) -> list[str]:
    return [objects(node, revision) for objects in FILTERS]


def _named(names: list[str]) -> str:
    return (
        ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
    )

"""Pick a node for a replica: filter, rank, explain; the same input gives the same answer.

Every filter is asked about every node, so that the explanation leaves nothing out. A new rule is
one more small function in `FILTERS`.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.snapshot import NodeView, ReplicaView, RevisionView
from orchestrator.core.wording import count, join

NAMED_NODES = 3
MAX_SENTENCE = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Objection:
    """Why a node does not fit, worded for one node and for several."""

    singular: str
    plural: str


def _responds(node: NodeView, _: RevisionView) -> Objection | None:
    if node.state is NodeState.READY:
        return None
    return Objection(singular=f"is {node.state}", plural=f"are {node.state}")


def _is_open(node: NodeView, _: RevisionView) -> Objection | None:
    if node.draining:
        return Objection(singular="is being drained", plural="are being drained")
    return Objection(singular="is cordoned", plural="are cordoned") if node.cordoned else None


def _has_labels(node: NodeView, revision: RevisionView) -> Objection | None:
    missing = [
        f"{key}={value}" for key, value in sorted(set(revision.node_selector) - set(node.labels))
    ]
    if not missing:
        return None
    labels = f"label{'s' if len(missing) > 1 else ''} {join(missing)}"
    return Objection(singular=f"lacks {labels}", plural=f"lack {labels}")


def _has_runtime(node: NodeView, revision: RevisionView) -> Objection | None:
    if not revision.runtime_class or revision.runtime_class in node.runtimes:
        return None
    what = f"no {revision.runtime_class} runtime"
    return Objection(singular=f"has {what}", plural=f"have {what}")


Filter = Callable[[NodeView, RevisionView], Objection | None]

FILTERS: tuple[Filter, ...] = (_responds, _is_open, _has_labels, _has_runtime)


class Placer:
    """Places the replicas of one pass one by one; remembers where the earlier ones went.

    Nodes with fewest replicas of the deployment come first (stopping ones still take room), then
    those with fewest replicas at all, then by name.
    """

    def __init__(self, nodes: Sequence[NodeView], replicas: Sequence[ReplicaView]) -> None:
        self._nodes = tuple(nodes)
        self._own = Counter(replica.node for replica in replicas if replica.node is not None)
        self._all = {node.name: node.replicas for node in nodes}
        self._fitting: dict[int, list[tuple[int, int, str]]] = {}
        self._explanations: dict[int, str] = {}

    def place(self, revision: RevisionView) -> str | None:
        """Return the best node for one more replica and count it there; None when none fits."""
        if revision.number not in self._fitting:
            names = [node.name for node in self._nodes if not _objections(node, revision)]
            self._fitting[revision.number] = sorted(self._score(name) for name in names)
        heap = self._fitting[revision.number]
        if not heap:
            return None
        # A node filled on behalf of another revision has an outdated score here: renew it first.
        while heap[0] != (fresh := self._score(heap[0][2])):
            heapq.heapreplace(heap, fresh)
        name = heap[0][2]
        self._own[name] += 1
        self._all[name] += 1
        heapq.heapreplace(heap, self._score(name))
        return name

    def explain(self, revision: RevisionView) -> str:
        """Return one sentence with every reason why no node fits the revision."""
        if revision.number not in self._explanations:
            self._explanations[revision.number] = self._explain(revision)
        return self._explanations[revision.number]

    def _explain(self, revision: RevisionView) -> str:
        if not self._nodes:
            return "no node fits: none has joined yet"
        objections = {node.name: _objections(node, revision) for node in self._nodes}
        if len(self._nodes) <= NAMED_NODES:
            parts = [
                f"{name} {join([objection.singular for objection in found])}"
                for name, found in objections.items()
            ]
        else:
            parts = _grouped(objections)
        return _shortened(f"no node fits: {'; '.join(parts)}")

    def _score(self, name: str) -> tuple[int, int, str]:
        return self._own[name], self._all[name], name


def _objections(node: NodeView, revision: RevisionView) -> tuple[Objection, ...]:
    found = (objects(node, revision) for objects in FILTERS)
    return tuple(objection for objection in found if objection is not None)


def _grouped(objections: Mapping[str, Sequence[Objection]]) -> list[str]:
    tally = Counter(objection for found in objections.values() for objection in found)
    ordered = sorted(tally.items(), key=lambda item: (-item[1], item[0].singular))
    return [
        f"{count(number, 'node')} {objection.singular if number == 1 else objection.plural}"
        for objection, number in ordered
    ]


def _shortened(sentence: str) -> str:
    return sentence if len(sentence) <= MAX_SENTENCE else f"{sentence[: MAX_SENTENCE - 1]}…"

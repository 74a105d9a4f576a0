"""Single moves worth trying for `rebalancing.py`, the one that gains most first.

Moves of many deployments are alike in what they do to two nodes; each kind is weighed once, and
after a move only those of its deployment are looked at anew.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from orchestrator.core import landscape
from orchestrator.core.landscape import Landscape
from orchestrator.core.placement.resources import share
from orchestrator.core.snapshot import NodeView, ReplicaView
from orchestrator.core.spec import Amounts

# In thousandths of a node: what the fuller one of two has to lose.
LEAST_GAIN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A possible move of some replica of a deployment between two nodes, by numbers alone."""

    deployment: str
    source: str
    target: str
    pairs: int
    relief: int


class _Kind(NamedTuple):
    """What moves have in common that do the same to the same two nodes."""

    source: str
    target: str
    pairs: int
    reserved: Amounts


class Candidates:
    """The moves that could be made in a landscape, as it is now."""

    def __init__(self, land: Landscape, taking_part: Sequence[str]) -> None:
        self._land = land
        self._alike: dict[_Kind, set[str]] = defaultdict(set)
        for deployment in taking_part:
            self._enter(deployment)

    def move(self, found: Candidate, view: ReplicaView) -> None:
        """Go on as if this move was made."""
        for kind in self._kinds(found.deployment):
            self._alike[kind].discard(found.deployment)
        self._land.move(found.deployment, view, found.target)
        self._enter(found.deployment)

    def best_first(self) -> Iterator[Candidate]:
        """Yield what gains; what gains equally in the order of names."""
        ranked: dict[tuple[int, int, int], list[tuple[int, _Kind]]] = defaultdict(list)
        shares = {node.name: share(node.reserved, node.capacity) for node in self._nodes()}
        for kind, deployments in self._alike.items():
            if not deployments:
                continue
            fullest = self._fullest(kind)
            relief = max(shares[kind.source], shares[kind.target]) - fullest
            if kind.pairs or (relief >= LEAST_GAIN and self._has_capacity(kind.target)):
                balance = 0 if kind.pairs else -relief
                ranked[-kind.pairs, balance, fullest].append((relief, kind))
        for rank in sorted(ranked):
            yield from self._by_name(ranked[rank])

    def _enter(self, deployment: str) -> None:
        for kind in self._kinds(deployment):
            self._alike[kind].add(deployment)

    def _kinds(self, deployment: str) -> Iterator[_Kind]:
        own = self._land.own(deployment)
        for source, here in own.items():
            view = self._land.least_missed(deployment, source)
            if view is None:
                continue
            for node in self._nodes():
                pairs = here - own[node.name] - 1
                if pairs >= 0 and node.name != source and landscape.is_open(node):
                    yield _Kind(source, node.name, pairs, view.reserved)

    def _fullest(self, kind: _Kind) -> int:
        """Return how full the fuller one of the two nodes is afterwards."""
        source, target = self._land.nodes[kind.source], self._land.nodes[kind.target]
        return max(
            share(source.reserved - kind.reserved, source.capacity),
            share(target.reserved + kind.reserved, target.capacity),
        )

    def _by_name(self, kinds: list[tuple[int, _Kind]]) -> Iterator[Candidate]:
        heap = [
            (deployment, kind.source, kind.target, relief, kind.pairs)
            for relief, kind in kinds
            for deployment in self._alike[kind]
        ]
        heapq.heapify(heap)
        while heap:
            deployment, source, target, relief, pairs = heapq.heappop(heap)
            yield Candidate(
                deployment=deployment, source=source, target=target, pairs=pairs, relief=relief
            )

    def _nodes(self) -> Sequence[NodeView]:
        return tuple(self._land.nodes.values())

    def _has_capacity(self, node: str) -> bool:
        return landscape.has_capacity(self._land.nodes[node])

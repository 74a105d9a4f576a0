"""Moves by which something is gained, the best first, without making a list of all of them.

A replica can gain only so much, wherever it goes. Its moves are looked at one by one only when
nothing else can gain more: with thousands of replicas and hundreds of nodes that is a few of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from orchestrator.core import landscape
from orchestrator.core.landscape import Landscape
from orchestrator.core.placement.resources import share
from orchestrator.core.snapshot import ReplicaView
from orchestrator.core.spec import Amounts

# In thousandths of a node: what the fuller one of two has to lose.
LEAST_GAIN = 100

# More pairs gained, or else more relief; then the emptier of the fuller nodes; then names.
Rank = tuple[int, int, int, str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A possible move of a replica of a deployment between two nodes, by numbers alone."""

    deployment: str
    view: ReplicaView
    source: str
    target: str
    pairs: int
    relief: int
    fullest: int

    @property
    def rank(self) -> Rank:
        """Return the order in which candidates are tried, the best one first."""
        numbers = _numbers(self.pairs, self.relief, self.fullest)
        return (*numbers, self.deployment, self.source, self.target)


class _Kind(NamedTuple):
    """What replicas have in common whose best moves gain the same: few kinds, many replicas.

    `pairs` is the most that a move may gain of those; one that is `alone` shares its node with none
    of its own.
    """

    source: str
    cpu_millis: int
    memory_bytes: int
    pairs: int
    alone: bool


class _Origin(NamedTuple):
    """A replica that could go; `own` is how many of its deployment run where."""

    deployment: str
    view: ReplicaView
    own: Counter[str]
    kind: _Kind


class Candidates:
    """The moves that may be made in a landscape.

    What depends on one deployment alone is kept until it is told that the deployment has moved.
    """

    def __init__(self, land: Landscape, taking_part: Sequence[str]) -> None:
        self._land = land
        self._origins = {name: tuple(self._found(name)) for name in taking_part}

    def renew(self, deployment: str) -> None:
        """Look anew at a deployment of which a replica has moved."""
        self._origins[deployment] = tuple(self._found(deployment))

    def best_first(self) -> Iterator[Candidate]:
        """Yield every move that gains as things are now, the best first."""
        search = _Search(self._land)
        # What was not looked at yet stands in the order by the most it can gain.
        heap = [entry for origins in self._origins.values() for entry in search.entries(origins)]
        heapify(heap)
        while heap:
            _, candidate, rest = heappop(heap)
            if candidate is not None:
                yield candidate
            for following in rest:
                heappush(heap, (following.rank, following, rest))
                break

    def _found(self, deployment: str) -> Iterator[_Origin]:
        """Yield the replicas of a deployment by whose move pairs are not added."""
        own = landscape.own(self._land.snapshots[deployment])
        for source, view in self._land.least_missed(deployment).items():
            targets = self._land.targets(deployment, view.revision)
            pairs = own[source] - 1 - _least(own, targets)
            reserved, alone = view.reserved, own[source] < 2
            kind = _Kind(source, reserved.cpu_millis, reserved.memory_bytes, pairs, alone)
            if pairs >= 0:
                yield _Origin(deployment, view, own, kind)


_Entry = tuple[Rank, Candidate | None, Iterator[Candidate]]


class _Search:
    """How full everything is at one moment."""

    def __init__(self, land: Landscape) -> None:
        self._land = land
        self._shares = {
            name: share(node.reserved, node.capacity) for name, node in land.nodes.items()
        }
        self._lowest: dict[Amounts, int] = {}
        self._bounds: dict[_Kind, tuple[int, int, int] | None] = {}

    def entries(self, origins: Iterable[_Origin]) -> Iterator[_Entry]:
        """Yield the replicas by whose move something may be gained, with a rank none is above."""
        for origin in origins:
            kind = origin.kind
            if kind not in self._bounds:
                self._bounds[kind] = self._bound(origin)
            bound = self._bounds[kind]
            if bound is not None:
                rank = (*bound, origin.deployment, kind.source, "")
                yield rank, None, self._moves(origin)

    def _bound(self, origin: _Origin) -> tuple[int, int, int] | None:
        """Return numbers that no move of the kind is better than; None when none gains."""
        source, *_, pairs, alone = origin.kind
        share_left = self._share_left(origin)
        if alone and self._shares[source] - share_left < LEAST_GAIN:
            return None
        fullest = max(share_left, self._lowest_with(origin.view.reserved))
        relief = self._shares[source] - (share_left if pairs else fullest)
        if not pairs and relief < LEAST_GAIN:
            return None
        return _numbers(pairs, relief, fullest)

    def _share_left(self, origin: _Origin) -> int:
        node = self._land.nodes[origin.kind.source]
        return share(node.reserved - origin.view.reserved, node.capacity)

    def _lowest_with(self, more: Amounts) -> int:
        """Return how full the emptiest open node would be with so much more."""
        if more not in self._lowest:
            nodes = [node for node in self._land.nodes.values() if landscape.is_open(node)]
            found = (share(node.reserved + more, node.capacity) for node in nodes)
            self._lowest[more] = min(found, default=0)
        return self._lowest[more]

    def _moves(self, origin: _Origin) -> Iterator[Candidate]:
        yield from sorted(self._unsorted(origin), key=lambda candidate: candidate.rank)

    def _unsorted(self, origin: _Origin) -> Iterator[Candidate]:
        source, view, own = origin.kind.source, origin.view, origin.own
        share_left = self._share_left(origin)
        for target in self._land.targets(origin.deployment, view.revision):
            pairs = own[source] - own[target] - 1
            if pairs < 0 or target == source:
                continue
            node = self._land.nodes[target]
            fullest = max(share_left, share(node.reserved + view.reserved, node.capacity))
            relief = max(self._shares[source], self._shares[target]) - fullest
            if pairs or (relief >= LEAST_GAIN and landscape.has_capacity(node)):
                yield Candidate(
                    deployment=origin.deployment,
                    view=view,
                    source=source,
                    target=target,
                    pairs=pairs,
                    relief=relief,
                    fullest=fullest,
                )


def _least(own: Counter[str], targets: Sequence[str]) -> int:
    """Return how many replicas run on the target that has the fewest."""
    if len(own) < len(targets):
        return 0
    return min((own[name] for name in targets), default=own.total())


def _numbers(pairs: int, relief: int, fullest: int) -> tuple[int, int, int]:
    """Return what a move is ranked by before names decide."""
    return -pairs, 0 if pairs else -relief, fullest

"""Moves by which something is gained, the best first, without making a list of all of them.

A replica can gain only so much, wherever it goes. Its moves are looked at one by one only when
nothing else can gain more: with thousands of replicas and hundreds of nodes that is a few of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

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
        return _rank(self.pairs, self.relief, self.fullest, self._names)

    @property
    def _names(self) -> tuple[str, str, str]:
        return self.deployment, self.source, self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """A replica that could go; `own` is how many of its deployment run where."""

    deployment: str
    view: ReplicaView
    source: str
    own: Counter[str]
    share_left: int

    @property
    def here(self) -> int:
        return self.own[self.source]


def best_first(land: Landscape, taking_part: Sequence[str]) -> Iterator[Candidate]:
    """Yield every move that gains, the best first."""
    search = _Search(land)
    # What was not looked at yet stands in the order by the most it can gain.
    heap = [entry for name in taking_part for entry in search.origins(name)]
    heapify(heap)
    while heap:
        _, candidate, rest = heappop(heap)
        if candidate is not None:
            yield candidate
        for following in rest:
            heappush(heap, (following.rank, following, rest))
            break


_Entry = tuple[Rank, Candidate | None, Iterator[Candidate]]


class _Search:
    """How full everything is at one moment."""

    def __init__(self, land: Landscape) -> None:
        self._land = land
        self._shares = {
            name: share(node.reserved, node.capacity) for name, node in land.nodes.items()
        }
        self._lowest: dict[Amounts, int] = {}

    def origins(self, deployment: str) -> Iterator[_Entry]:
        """Yield the replicas of a deployment by whose move something may be gained."""
        own = landscape.own(self._land.snapshots[deployment])
        for source, view in self._land.least_missed(deployment).items():
            node = self._land.nodes[source]
            origin = _Origin(
                deployment=deployment,
                view=view,
                source=source,
                own=own,
                share_left=share(node.reserved - view.reserved, node.capacity),
            )
            bound = self._bound(origin)
            if bound is not None:
                yield bound, None, self._moves(origin)

    def _bound(self, origin: _Origin) -> Rank | None:
        """Return a rank that no move of the replica is better than; None when none gains."""
        relief = self._shares[origin.source] - origin.share_left
        if origin.here < 2 and relief < LEAST_GAIN:
            return None
        targets = self._land.targets(origin.deployment, origin.view.revision)
        pairs = origin.here - 1 - _least(origin.own, targets)
        fullest = max(origin.share_left, self._lowest_with(origin.view.reserved))
        if pairs < 1:
            relief = self._shares[origin.source] - fullest
            if pairs < 0 or relief < LEAST_GAIN:
                return None
        return _rank(pairs, relief, fullest, (origin.deployment, origin.source, ""))

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
        source, view = origin.source, origin.view
        for target in self._land.targets(origin.deployment, view.revision):
            pairs = origin.here - origin.own[target] - 1
            if pairs < 0 or target == source:
                continue
            node = self._land.nodes[target]
            fullest = max(origin.share_left, share(node.reserved + view.reserved, node.capacity))
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


def _rank(pairs: int, relief: int, fullest: int, names: tuple[str, str, str]) -> Rank:
    return (-pairs, 0 if pairs else -relief, fullest, *names)

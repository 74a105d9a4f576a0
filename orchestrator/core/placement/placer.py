"""Pick a node for a replica: filter, rank, explain; the same input gives the same answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from orchestrator.core.constraints import PodTerm
from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.placement import explanation, filters, scores
from orchestrator.core.placement.explanation import Explanation
from orchestrator.core.placement.neighbours import Neighbourhood
from orchestrator.core.placement.objections import GONE, Objection
from orchestrator.core.placement.resources import Ledger
from orchestrator.core.placement.scores import Rank
from orchestrator.core.snapshot import NeighbourView, ReplicaView, RevisionView, Snapshot
from orchestrator.core.spec import Amounts


class Placer:
    """Hands out the nodes of one pass; remembers what it has given away.

    Ranks are kept per revision. A new replica changes that of its own node alone, unless a
    revision looks at who runs where: then all its ranks are made anew.
    """

    def __init__(self, snapshot: Snapshot, leaving: frozenset[str] = frozenset()) -> None:
        self._nodes = {node.name: node for node in sorted(snapshot.nodes, key=lambda n: n.name)}
        self._labels = {node.name: dict(node.labels) for node in snapshot.nodes}
        self._revisions = {view.number: view for view in snapshot.revisions}
        self._ledger = Ledger(snapshot.nodes)
        self._neighbourhood = Neighbourhood(
            self._labels, (*snapshot.neighbours, *_own(snapshot, leaving))
        )
        self._crowd = Counter(replica.node for replica in snapshot.replicas)
        self._fitting: dict[int, list[str]] = {}
        self._ranks: dict[int, dict[str, Rank]] = {}
        self._explanations: dict[int, Explanation] = {}

    def place(
        self,
        revision: RevisionView,
        *,
        away_from: frozenset[str] = frozenset(),
        only: str | None = None,
    ) -> str | None:
        """Return the best node for one more replica and count it there; None when none fits.

        It is none of those it shall be `away_from`, and `only` one if that is given.
        """
        ranks = self._ranked(revision)
        if away_from or only is not None:
            open_ = ranks.keys() - away_from if only is None else {only} - away_from
            ranks = {name: rank for name, rank in ranks.items() if name in open_}
        if not ranks:
            return None
        name = min(ranks, key=ranks.__getitem__)
        self._ledger.reserve(name, revision.resources.requested)
        self._crowd[name] += 1
        self._neighbourhood.add(name, revision)
        self._renew_ranks(name, revision)
        return name

    def objections(self, name: str, revision: RevisionView) -> tuple[Objection, ...]:
        """Return everything that speaks against one more replica of the revision on a node."""
        return self._objections(name, revision) if name in self._nodes else (GONE,)

    def cost(self, name: str, revision: RevisionView) -> int:
        """Return how far a node is from what the template would like, by its weights."""
        own = scores.cost_of_node(self._nodes[name], self._labels[name], revision)
        return own + self._neighbourhood.cost(name, revision, self._fits(revision))

    def grow(self, replica: ReplicaView, wanted: Amounts) -> bool:
        """Reserve more for a replica where it runs; tell whether its node has that much left."""
        if replica.node not in self._nodes:
            return False
        more = wanted.at_least(replica.reserved) - replica.reserved
        fits = self._ledger.fits(replica.node, more)
        if fits:
            self._ledger.reserve(replica.node, more)
        return fits

    def explain(
        self, revision: RevisionView, against: Mapping[str, Objection] | None = None
    ) -> Explanation:
        """Return every reason why no node fits the revision, after all that was placed so far.

        `against` is what else speaks against some nodes.
        """
        if against:
            more = {name: (objection,) for name, objection in against.items()}
            found = {
                name: (*more.get(name, ()), *self._objections(name, revision))
                for name in self._nodes
            }
            return explanation.explain(found)
        if revision.number not in self._explanations:
            found = {name: self._objections(name, revision) for name in self._nodes}
            self._explanations[revision.number] = explanation.explain(found)
        return self._explanations[revision.number]

    def _ranked(self, revision: RevisionView) -> dict[str, Rank]:
        if revision.number not in self._ranks:
            self._ranks[revision.number] = {
                name: rank
                for name in self._fits(revision)
                if (rank := self._rank(name, revision)) is not None
            }
        return self._ranks[revision.number]

    def _renew_ranks(self, name: str, placed: RevisionView) -> None:
        for number, ranks in list(self._ranks.items()):
            revision = self._revisions[number]
            if revision.rules.look_at_replicas or placed.rules.apart_required:
                del self._ranks[number]
            elif name in ranks:
                fresh = self._rank(name, revision)
                if fresh is None:
                    del ranks[name]
                else:
                    ranks[name] = fresh

    def _fits(self, revision: RevisionView) -> list[str]:
        """Return the nodes that have nothing against the revision themselves."""
        if revision.number not in self._fitting:
            self._fitting[revision.number] = [
                name
                for name, node in self._nodes.items()
                if not filters.objections(node, self._labels[name], revision)
            ]
        return self._fitting[revision.number]

    def _rank(self, name: str, revision: RevisionView) -> Rank | None:
        """Return the rank of a node that fits by itself; None when it is full or ill surrounded."""
        if not self._ledger.fits(name, revision.resources.requested):
            return None
        fitting = self._fits(revision)
        if any(self._neighbourhood.objections(name, revision, fitting)):
            return None
        return scores.rank(
            self._nodes[name],
            revision,
            cost=self.cost(name, revision),
            own=self._crowd[name],
            allocated=self._ledger.allocated(name),
        )

    def _objections(self, name: str, revision: RevisionView) -> tuple[Objection, ...]:
        fitting = self._fits(revision)
        return (
            *filters.objections(self._nodes[name], self._labels[name], revision),
            *self._ledger.objections(name, revision.resources.requested),
            *self._neighbourhood.objections(name, revision, fitting),
        )


def _own(snapshot: Snapshot, leaving: frozenset[str]) -> list[NeighbourView]:
    """Return the deployment's own replicas as neighbours; `leaving` are about to be stopped."""
    revisions = {view.number: view for view in snapshot.revisions}
    return [
        _neighbour(replica, revisions[replica.revision], leaves=replica.uid in leaving)
        for replica in snapshot.replicas
        if replica.node is not None
    ]


def _neighbour(replica: ReplicaView, revision: RevisionView, *, leaves: bool) -> NeighbourView:
    leaves = leaves or replica.phase is ReplicaPhase.STOPPING
    apart: tuple[PodTerm, ...] = revision.rules.apart_required
    return NeighbourView(
        node=str(replica.node),
        labels=revision.labels,
        live=0 if leaves else 1,
        leaving=1 if leaves else 0,
        apart=apart,
    )

"""Who runs where, as far as a replica wants to be near to others, apart from them, or spread.

As in Kubernetes: attraction and spread count replicas that stay; repulsion counts leaving ones as
well, until they are gone, and works both ways. A replica that is attracted by its own kind may be
the first one anywhere.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from orchestrator.core.constraints import PodTerm, Selector, SpreadRule, matches, worded
from orchestrator.core.placement.objections import Effort, Objection, having
from orchestrator.core.snapshot import NeighbourView, RevisionView

Closed = Mapping[str, set[str]]


class Neighbourhood:
    """Counts replicas by domain: the nodes that share the value of a label."""

    def __init__(
        self, nodes: Mapping[str, Mapping[str, str]], neighbours: Sequence[NeighbourView]
    ) -> None:
        self._nodes = nodes
        self._neighbours = list(neighbours)
        # By identity: the snapshot keeps its selectors, and hashing one is slower than a count.
        self._counts: dict[tuple[int, str, bool], tuple[Selector, Counter[str]]] = {}
        self._lowest: dict[tuple[int, int], int] = {}
        self._closed: dict[int, Closed] = {}

    def add(self, node: str, revision: RevisionView) -> None:
        """Count one more replica of the revision on a node."""
        labels, apart = revision.labels, revision.rules.apart_required
        self._neighbours.append(NeighbourView(node=node, labels=labels, live=1, apart=apart))
        for (_, key, _), (selector, counts) in self._counts.items():
            domain = self._nodes[node].get(key)
            if domain is not None and matches(selector, dict(labels)):
                counts[domain] += 1
        self._lowest.clear()
        if apart:
            self._closed.clear()

    def objections(
        self, node: str, revision: RevisionView, fitting: Sequence[str]
    ) -> Iterator[Objection]:
        """Yield what the neighbours of a node have against a replica of the revision there.

        `fitting` are the nodes that have nothing against it themselves: only their domains are
        compared, so that one in which nothing can run holds nobody up.
        """
        for term in revision.rules.near_required:
            yield from self._too_far(node, term, revision)
        yield from self._too_near(node, revision)
        for rule in revision.rules.spread:
            if rule.is_required:
                yield from self._skewed(node, rule, revision, fitting)

    def cost(self, node: str, revision: RevisionView, fitting: Sequence[str]) -> int:
        """Return how far a node is from what the revision would like, by its weights.

        A replica too many in a domain, or a node outside all domains, weighs 100.
        """
        rules = revision.rules
        cost = sum(
            term.weight * self._near(node, term, leaving=True) for term in rules.apart_preferred
        )
        cost -= sum(term.weight * self._near(node, term) for term in rules.near_preferred)
        for rule in rules.spread:
            if not rule.is_required:
                counts = self._counted(rule.selector, rule.topology_key)
                worst = max(counts.values(), default=0) + 1
                domain = self._nodes[node].get(rule.topology_key)
                here = worst if domain is None else counts[domain]
                cost += 100 * max(0, here - self._least(rule, revision, fitting))
        return cost

    def _too_far(self, node: str, term: PodTerm, revision: RevisionView) -> Iterator[Objection]:
        if term.topology_key not in self._nodes[node]:
            yield _outside(term.topology_key)
        elif not self._near(node, term):
            nobody = not self._counted(term.selector, term.topology_key).total()
            if not (nobody and matches(term.selector, dict(revision.labels))):
                words = f"no replica with {worded(term.selector)} in {_its(term.topology_key)}"
                yield having(
                    words,
                    remedy=f"if a replica with {worded(term.selector)} ran there",
                    effort=Effort.MOVE_OTHERS,
                )

    def _too_near(self, node: str, revision: RevisionView) -> Iterator[Objection]:
        told = set()
        for term in revision.rules.apart_required:
            if self._near(node, term, leaving=True):
                told.add(term.topology_key)
                words = f"a replica with {worded(term.selector)} in {_its(term.topology_key)}"
                yield having(
                    words,
                    remedy=f"if no replica with {worded(term.selector)} ran there",
                    effort=Effort.MOVE_OTHERS,
                )
        labels = self._nodes[node]
        for key, domains in self._closed_to(revision).items():
            if labels.get(key) in domains and key not in told:
                words = f"a replica in {_its(key)} that wants to be apart from this one"
                yield having(
                    words,
                    remedy="if the replica with that anti-affinity ran elsewhere",
                    effort=Effort.MOVE_OTHERS,
                )

    def _skewed(
        self, node: str, rule: SpreadRule, revision: RevisionView, fitting: Sequence[str]
    ) -> Iterator[Objection]:
        key = rule.topology_key
        domain = self._nodes[node].get(key)
        if domain is None:
            yield _outside(key)
            return
        counts = self._counted(rule.selector, key)
        itself = matches(rule.selector, dict(revision.labels))
        skew = counts[domain] + itself - self._least(rule, revision, fitting)
        if skew > rule.max_skew:
            words = f"more than {rule.max_skew} apart by {key}"
            yield Objection(
                singular=f"would be {words}",
                plural=f"would be {words}",
                remedy=f"with maxSkew ≥ {skew} for {key}",
                effort=Effort.MOVE_OTHERS,
            )

    def _least(self, rule: SpreadRule, revision: RevisionView, fitting: Sequence[str]) -> int:
        found = self._lowest.get((revision.number, id(rule)))
        if found is None:
            counts = self._counted(rule.selector, rule.topology_key)
            domains = {self._nodes[name].get(rule.topology_key) for name in fitting} - {None}
            found = min((counts[str(domain)] for domain in domains), default=0)
            self._lowest[revision.number, id(rule)] = found
        return found

    def _near(self, node: str, term: PodTerm, *, leaving: bool = False) -> int:
        domain = self._nodes[node].get(term.topology_key)
        counts = self._counted(term.selector, term.topology_key, leaving=leaving)
        return counts[domain] if domain is not None else 0

    def _counted(self, selector: Selector, key: str, *, leaving: bool = False) -> Counter[str]:
        """Return how many matching replicas each domain has."""
        known = self._counts.get((id(selector), key, leaving))
        if known is not None:
            return known[1]
        counts: Counter[str] = Counter()
        for group in self._neighbours:
            domain = self._nodes.get(group.node, {}).get(key)
            if domain is not None and matches(selector, dict(group.labels)):
                counts[domain] += group.live + (group.leaving if leaving else 0)
        self._counts[id(selector), key, leaving] = selector, counts
        return counts

    def _closed_to(self, revision: RevisionView) -> Closed:
        """Return by label the domains where somebody wants to be apart from the revision."""
        closed = self._closed.get(revision.number)
        if closed is None:
            closed, labels = defaultdict(set), dict(revision.labels)
            for group in self._neighbours:
                for term in group.apart:
                    domain = self._nodes.get(group.node, {}).get(term.topology_key)
                    if domain is not None and matches(term.selector, labels):
                        closed[term.topology_key].add(domain)
            self._closed[revision.number] = dict(sorted(closed.items()))
        return self._closed[revision.number]


def _its(key: str) -> str:
    return "it" if key == "kubernetes.io/hostname" else f"its {key}"


def _outside(key: str) -> Objection:
    return having(
        f"no label {key}",
        remedy=f"if it had a label {key}",
        effort=Effort.RELABEL,
    )

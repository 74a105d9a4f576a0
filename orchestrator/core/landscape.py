"""All deployments and nodes at one moment, and as they would be after some moves.

A value to try moves on, for `rebalancing.py`; it changes in place and is thrown away.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from orchestrator.core import relocating, victims
from orchestrator.core.classify import take_census
from orchestrator.core.constraints import PodTerm, matches
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement.placer import Placer
from orchestrator.core.placement.resources import share
from orchestrator.core.snapshot import NeighbourView, NodeView, ReplicaView, RevisionView, Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How even things are.

    `pairs` of replicas of one deployment share a node; so many thousandths are reserved of the
    `fullest` and the `emptiest` node that takes replicas.
    """

    pairs: int
    fullest: int
    emptiest: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shift:
    """A replica that went from one node to another, for those who look at their neighbours."""

    deployment: str
    namespace: str
    revision: RevisionView
    source: str
    target: str


class Landscape:
    """Where everything runs; `nodes` by name are as of now."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self._snapshots = {item.deployment: item for item in snapshots}
        self.nodes = {node.name: node for item in snapshots[:1] for node in item.nodes}
        self._moved: set[str] = set()
        self._attracted = list(_attractions(snapshots))
        self._own = {item.deployment: _own(item) for item in snapshots}
        self._missed: dict[str, dict[str, ReplicaView]] = {}
        self._shifts: list[_Shift] = []
        self._seen: dict[str, int] = {}

    def snapshot(self, deployment: str) -> Snapshot:
        """Return a deployment as of now; what others did since is caught up with when asked."""
        found, seen = self._snapshots[deployment], self._seen.get(deployment, 0)
        if seen == len(self._shifts):
            return found
        neighbours = found.neighbours
        for shift in self._shifts[seen:]:
            if shift.deployment != deployment and shift.namespace == _namespace(deployment):
                neighbours = _with_one_moved(neighbours, shift)
        nodes = tuple(self._as_now(node) for node in found.nodes)
        found = replace(found, nodes=nodes, neighbours=neighbours)
        self._snapshots[deployment], self._seen[deployment] = found, len(self._shifts)
        return found

    def own(self, deployment: str) -> Counter[str]:
        """Return how many live replicas of the deployment each node has."""
        return self._own[deployment]

    def spread(self) -> Spread:
        """Return how even things are now."""
        pairs = sum(
            number * (number - 1) // 2 for own in self._own.values() for number in own.values()
        )
        shares = [
            share(node.reserved, node.capacity)
            for node in self.nodes.values()
            if is_open(node) and has_capacity(node)
        ]
        return Spread(pairs=pairs, fullest=max(shares, default=0), emptiest=min(shares, default=0))

    def move(self, deployment: str, view: ReplicaView, target: str) -> None:
        """Go on as if a replica ran on another node."""
        source, moved = str(view.node), self.snapshot(deployment)
        there = replace(view, node=target)
        replicas = tuple(there if item.uid == view.uid else item for item in moved.replicas)
        self._snapshots[deployment] = moved = replace(moved, replicas=replicas)
        self._moved.add(view.uid)
        self._carry(source, view, -1)
        self._carry(target, view, 1)
        self._own[deployment] = _own(moved)
        self._missed.pop(deployment, None)
        self._shifts.append(
            _Shift(
                deployment=deployment,
                namespace=_namespace(deployment),
                revision=current(moved),
                source=source,
                target=target,
            )
        )

    def _as_now(self, node: NodeView) -> NodeView:
        """Return the node with what it carries now; what it has seen is of one deployment."""
        now = self.nodes[node.name]
        if node.replicas == now.replicas and node.reserved == now.reserved:
            return node
        return replace(node, reserved=now.reserved, replicas=now.replicas)

    def _carry(self, name: str, view: ReplicaView, number: int) -> None:
        node = self.nodes[name]
        reserved = node.reserved + view.reserved if number > 0 else node.reserved - view.reserved
        self.nodes[name] = replace(node, reserved=reserved, replicas=node.replicas + number)

    def least_missed(self, deployment: str, node: str) -> ReplicaView | None:
        """Return the replica of a deployment on a node to move first; none moves twice."""
        if deployment not in self._missed:
            self._missed[deployment] = dict(self._first_to_go(self._snapshots[deployment]))
        return self._missed[deployment].get(node)

    def _first_to_go(self, snapshot: Snapshot) -> Iterator[tuple[str, ReplicaView]]:
        census = take_census(snapshot)
        there: dict[str, list[ReplicaView]] = defaultdict(list)
        for view in snapshot.replicas:
            if view.phase.is_live and view.node is not None and view.uid not in self._moved:
                there[view.node].append(view)
        for node, views in there.items():
            (first,) = victims.choose(views, 1, census=census, now=snapshot.now)
            yield node, first

    def is_allowed(self, deployment: str, view: ReplicaView, target: str) -> bool:
        """Tell whether the planner would place the replica there, now and once it has left."""
        snapshot = self.snapshot(deployment)
        revision = current(snapshot)
        labels = {name: dict(self.nodes[name].labels) for name in (str(view.node), target)}
        for namespace, term in self._attracted:
            key = term.topology_key
            concerned = namespace == _namespace(deployment)
            concerned = concerned and matches(term.selector, dict(revision.labels))
            if concerned and labels[str(view.node)].get(key) != labels[target].get(key):
                return False
        return not relocating.objections(snapshot, view, target) and (
            _cost(snapshot, view, target) <= _cost(snapshot, view, str(view.node))
        )


def _own(snapshot: Snapshot) -> Counter[str]:
    live = (view for view in snapshot.replicas if view.phase.is_live and view.node is not None)
    return Counter(str(view.node) for view in live)


def current(snapshot: Snapshot) -> RevisionView:
    """Return the revision asked for."""
    return next(view for view in snapshot.revisions if view.number == snapshot.current)


def is_open(node: NodeView) -> bool:
    """Tell whether a node takes new replicas at all."""
    return node.state is NodeState.READY and not (node.cordoned or node.draining)


def has_capacity(node: NodeView) -> bool:
    """Tell whether a node has stated how much it can carry."""
    return bool(node.capacity.cpu_millis or node.capacity.memory_bytes)


def _attractions(snapshots: Sequence[Snapshot]) -> Iterator[tuple[str, PodTerm]]:
    """Yield what running replicas have to be near to, with their namespace."""
    for snapshot in snapshots:
        inhabited = {view.revision for view in snapshot.replicas}
        for revision in snapshot.revisions:
            if revision.number in inhabited:
                yield from (
                    (_namespace(snapshot.deployment), term) for term in revision.rules.near_required
                )


def _cost(snapshot: Snapshot, view: ReplicaView, node: str) -> int:
    """Return how far a node is from what the template would like, for this replica alone."""
    others = tuple(item for item in snapshot.replicas if item is not view)
    return Placer(replace(snapshot, replicas=others)).cost(node, current(snapshot))


def _with_one_moved(
    neighbours: tuple[NeighbourView, ...], shift: _Shift
) -> tuple[NeighbourView, ...]:
    """Return the neighbours with one like this elsewhere, if they are looked at here."""
    labels, apart = shift.revision.labels, shift.revision.rules.apart_required
    for place, group in enumerate(neighbours):
        alike = (group.node, group.labels, group.apart) == (shift.source, labels, apart)
        if alike and group.live:
            fewer = replace(group, live=group.live - 1)
            there = replace(group, node=shift.target, live=1, leaving=0)
            return (*neighbours[:place], fewer, *neighbours[place + 1 :], there)
    return neighbours


def _namespace(deployment: str) -> str:
    return deployment.partition("/")[0]

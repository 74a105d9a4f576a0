"""All deployments and nodes at one moment, and as they would be after some moves.

A value to try moves on, for `rebalancing.py`; it changes in place and is thrown away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.core import relocating, victims
from orchestrator.core.classify import take_census
from orchestrator.core.constraints import PodTerm, matches
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.placement import filters
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


class Landscape:
    """Where everything runs; `nodes` by name are as of now, those in `snapshots` as they were."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.snapshots = {item.deployment: item for item in snapshots}
        self.nodes = {node.name: node for item in snapshots[:1] for node in item.nodes}
        self._moved: set[str] = set()
        # Found once, as hundreds of nodes are asked about again with every move.
        self._least_missed: dict[str, Mapping[str, ReplicaView]] = {}
        self._targets: dict[tuple[str, int], tuple[str, ...]] = {}
        self._attracted = list(_attractions(snapshots))

    def spread(self) -> Spread:
        """Return how even things are now."""
        pairs = sum(
            number * (number - 1) // 2
            for item in self.snapshots.values()
            for number in own(item).values()
        )
        shares = [
            share(node.reserved, node.capacity)
            for node in self.nodes.values()
            if is_open(node) and has_capacity(node)
        ]
        return Spread(pairs=pairs, fullest=max(shares, default=0), emptiest=min(shares, default=0))

    def move(self, deployment: str, view: ReplicaView, target: str) -> None:
        """Go on as if a replica ran on another node."""
        source, moved = str(view.node), self.snapshots[deployment]
        self._moved.add(view.uid)
        self._carry(source, view, -1)
        self._carry(target, view, 1)
        for name, item in self.snapshots.items():
            # Most look at nobody beside them.
            if item.neighbours and name != deployment and _namespace(item) == _namespace(moved):
                others = _with_one_moved(item.neighbours, current(moved), source, target)
                self.snapshots[name] = replace(item, neighbours=others)
        there = replace(view, node=target)
        self.snapshots[deployment] = replace(
            moved,
            replicas=tuple(there if item.uid == view.uid else item for item in moved.replicas),
        )
        self._least_missed.pop(deployment, None)

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

    def least_missed(self, deployment: str) -> Mapping[str, ReplicaView]:
        """Return by node the replica of a deployment to move first; none moves twice."""
        if deployment not in self._least_missed:
            snapshot = self.snapshots[deployment]
            movable = [
                view
                for view in snapshot.replicas
                if view.phase.is_live and view.node is not None and view.uid not in self._moved
            ]
            order = victims.choose(
                movable, len(movable), census=take_census(snapshot), now=snapshot.now
            )
            self._least_missed[deployment] = {str(view.node): view for view in reversed(order)}
        return self._least_missed[deployment]

    def targets(self, deployment: str, revision: int) -> tuple[str, ...]:
        """Return the nodes that have nothing against a revision themselves."""
        key = deployment, revision
        if key not in self._targets:
            (found,) = [i for i in self.snapshots[deployment].revisions if i.number == revision]
            self._targets[key] = tuple(
                name
                for name, node in self.nodes.items()
                if not filters.objections(node, dict(node.labels), found)
            )
        return self._targets[key]

    def is_allowed(self, deployment: str, view: ReplicaView, target: str) -> bool:
        """Tell whether the planner would place the replica there, now and once it has left."""
        before = self.snapshots[deployment]
        snapshot = replace(before, nodes=tuple(self._as_now(node) for node in before.nodes))
        labels = dict(current(snapshot).labels)
        here, there = (dict(self.nodes[name].labels) for name in (str(view.node), target))
        for namespace, term in self._attracted:
            concerned = namespace == _namespace(snapshot) and matches(term.selector, labels)
            if concerned and here.get(term.topology_key) != there.get(term.topology_key):
                return False
        return not relocating.objections(snapshot, view, target) and (
            _cost(snapshot, view, target) <= _cost(snapshot, view, str(view.node))
        )


def own(snapshot: Snapshot) -> Counter[str]:
    """Return how many live replicas of the deployment each node has."""
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
                yield from ((_namespace(snapshot), term) for term in revision.rules.near_required)


def _cost(snapshot: Snapshot, view: ReplicaView, node: str) -> int:
    """Return how far a node is from what the template would like, for this replica alone."""
    others = tuple(item for item in snapshot.replicas if item is not view)
    return Placer(replace(snapshot, replicas=others)).cost(node, current(snapshot))


def _with_one_moved(
    neighbours: tuple[NeighbourView, ...], revision: RevisionView, source: str, target: str
) -> tuple[NeighbourView, ...]:
    """Return the neighbours with one like this elsewhere, if they are looked at here."""
    for place, group in enumerate(neighbours):
        alike = (group.node, group.labels, group.apart) == (
            source,
            revision.labels,
            revision.rules.apart_required,
        )
        if alike and group.live:
            fewer = replace(group, live=group.live - 1)
            there = replace(group, node=target, live=1, leaving=0)
            return (*neighbours[:place], fewer, *neighbours[place + 1 :], there)
    return neighbours


def _namespace(snapshot: Snapshot) -> str:
    return snapshot.deployment.partition("/")[0]

"""What can be dialled now: the table in force, corrected by what this very node knows.

A replica of this node leaves rotation on its own event, without waiting for the control plane; one
that came back in place is dialled at its new address at once, and one that has just become ready
serves here already (see `newcomers`). Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from worker.protocol import ReplicaUid
from worker.routes import Endpoint, ServicePort, ServiceRoutes

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalReplica:
    """What this node knows of one of its replicas.

    Without an address nothing listens. `ports` are those it listens on; `reachable` maps a port of
    the container to one of them, `named_ports` are the names its containers give to theirs.
    """

    namespace: str
    address: str = ""
    ports: frozenset[int] = frozenset()
    ready: bool = False
    labels: frozenset[tuple[str, str]] = frozenset()
    named_ports: tuple[tuple[str, int], ...] = ()
    reachable: tuple[tuple[int, int], ...] = ()

    @property
    def is_ready(self) -> bool:
        """Tell whether it could be dialled."""
        return self.ready and bool(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where we are: the node, an address of its own that all may dial, what is local, who runs.

    `replicas` has None for one that nobody has looked at yet; what is missing there is gone once
    `has_looked`. `newcomers` are those of them that have become ready a moment ago.
    """

    node: str
    address: str = LOOPBACK
    is_local: Callable[[str], bool] = lambda _address: False
    replicas: Mapping[str, LocalReplica | None]
    has_looked: bool = False
    newcomers: Mapping[str, LocalReplica] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where connections for one replica go; `is_remote` through another node's relay port."""

    replica: str
    address: str
    port: int
    is_remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePort:
    """One port of a service: who takes new connections, who only keeps those it has.

    `relays` maps ports of this node, for the other nodes, to what runs here.
    """

    port: int
    name: str = ""
    protocol: str = "tcp"
    node_port: int | None = None
    targets: tuple[Target, ...] = ()
    draining: tuple[Target, ...] = ()
    relays: tuple[tuple[int, Target], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveService:
    """A service as it can be reached from here now.

    Nobody is told when its only endpoint is away if it is `quiet`: clients are to ask again.
    """

    namespace: str
    name: str
    addresses: tuple[str, ...] = ()
    affinity_seconds: int | None = None
    ports: tuple[LivePort, ...] = ()
    quiet: bool = False


def live(service: ServiceRoutes, place: Place) -> LiveService:
    """Return a service with the places to dial from here."""
    early = dict(newcomers_of(service, place))
    return LiveService(
        namespace=service.namespace,
        name=service.name,
        addresses=service.addresses,
        affinity_seconds=service.affinity_seconds,
        ports=tuple(_live_port(port, place, early) for port in service.ports),
    )


def newcomers_of(service: ServiceRoutes, place: Place) -> Iterator[tuple[ReplicaUid, LocalReplica]]:
    """Yield the newcomers that a service selects and of which its table says nothing yet."""
    if not service.selector or not place.newcomers:
        return
    named = {end.replica for port in service.ports for end in port.endpoints}
    for uid, replica in place.newcomers.items():
        is_its_own = replica.namespace == service.namespace
        if uid not in named and is_its_own and replica.labels.issuperset(service.selector):
            yield ReplicaUid(uid), replica


def _live_port(
    port: ServicePort, place: Place, early: Mapping[ReplicaUid, LocalReplica]
) -> LivePort:
    targets, draining, relays = [], [], []
    for uid, replica in early.items():
        number = _port_of(port.target, replica)
        if number is not None:
            found = Target(replica=uid, address=replica.address, port=number)
            targets.append(_dialable(found, place))
    for endpoint in port.endpoints:
        target = _target(endpoint, place)
        if target is None:
            continue
        if endpoint.draining:
            draining.append(target)
        elif _may_serve(endpoint, place):
            targets.append(target)
        # Another node may not have heard yet that it drains: it must not be refused.
        if endpoint.relay_port and not target.is_remote:
            relays.append((endpoint.relay_port, target))
    return LivePort(
        port=port.port,
        name=port.name,
        protocol=port.protocol.lower(),
        node_port=port.node_port,
        targets=tuple(targets),
        draining=tuple(draining),
        relays=tuple(relays),
    )


def _target(endpoint: Endpoint, place: Place) -> Target | None:
    """Return where to dial an endpoint; None when there is nothing to dial."""
    direct = Target(replica=endpoint.replica, address=endpoint.address, port=endpoint.port)
    if endpoint.node == place.node:
        return _own(direct, place)
    if endpoint.node_address and place.is_local(endpoint.node_address):
        # Another node of this very machine: a relay port is for those who come from outside.
        return _dialable(direct, place)
    if not endpoint.node_address or not endpoint.relay_port:
        return None
    return Target(
        replica=endpoint.replica,
        address=endpoint.node_address,
        port=endpoint.relay_port,
        is_remote=True,
    )


def _own(target: Target, place: Place) -> Target | None:
    known = place.replicas.get(target.replica)
    if known is None:
        is_gone = place.has_looked and target.replica not in place.replicas
        return None if is_gone else _dialable(target, place)
    # A sandbox gets other ports each time it starts; the control plane will tell the new one.
    has_moved = known.address == LOOPBACK and known.ports and target.port not in known.ports
    if not known.address or has_moved:
        return None
    return _dialable(replace(target, address=known.address), place)


def _dialable(target: Target, place: Place) -> Target:
    """Sandboxes listen on the node itself, where containers cannot reach its loopback."""
    return replace(target, address=place.address) if target.address == LOOPBACK else target


def _port_of(target: str, replica: LocalReplica) -> int | None:
    """Return where a target can be reached; None when the replica has no such port."""
    inside = int(target) if target.isdecimal() else dict(replica.named_ports).get(target)
    return None if inside is None else dict(replica.reachable).get(inside, inside)


def _may_serve(endpoint: Endpoint, place: Place) -> bool:
    known = place.replicas.get(endpoint.replica) if endpoint.node == place.node else None
    return known is None or known.ready

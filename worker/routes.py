"""The routing messages: what the gateways of every node are to send where.

The control plane numbers every change of routing with a generation; a node carries out a table,
confirms its generation in its next report (`protocol.RoutingStatus`), and gets a whole table when
it does not stand where a change begins. Every node gets the same table: an endpoint on the node
itself is dialled at `address:port`, one on another node at `node_address:relay_port`, where that
node lets only the cluster's other nodes in.

Invariants: a table of a generation older than the one in force is not carried out; an endpoint
that is `draining` gets no new connection, and those it has are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from worker.protocol import SEALED, ReplicaUid

ROUTE_TASK = "worker.set_routes"


class PathMatch(StrEnum):
    """How a path of an ingress is compared, with Kubernetes' names."""

    EXACT = "Exact"
    PREFIX = "Prefix"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One replica behind one port of a service.

    `address` and `port` are where it listens, seen from its own node; `node_address` and
    `relay_port` where other nodes reach it.
    """

    replica: ReplicaUid
    node: str
    address: str
    port: int
    node_address: str = ""
    relay_port: int | None = None
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    """One port of a service; `node_port` is open on every node (None: on none).

    `target` is the number or the name of the replicas' port it leads to.
    """

    port: int
    target: str = ""
    name: str = ""
    protocol: str = "TCP"
    node_port: int | None = None
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRoutes:
    """One service: a stable address, and who serves it.

    `addresses` are cluster-wide (IPv4, and IPv6 where there is one); none for a headless service.
    `affinity_seconds` sends one client's new connections to one endpoint for so long. `selector`
    are the labels of replicas that serve as soon as they are ready, before they are among the
    endpoints, on their own node; none when they have to be ready for a while first.
    """

    namespace: str
    name: str
    selector: tuple[tuple[str, str], ...] = ()
    addresses: tuple[str, ...] = ()
    affinity_seconds: int | None = None
    ports: tuple[ServicePort, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    """One host and path of an ingress, and the port of a service in its namespace it leads to.

    No host means any. `sticky` sets a cookie that keeps a client with one endpoint; `held` keeps
    requests waiting instead of answering them, for at most `hold_seconds`. While nobody serves one
    that `wakes`, they wait as well, and the control plane is told.
    """

    host: str = ""
    path: str = "/"
    match: PathMatch = PathMatch.PREFIX
    service: str
    port: int
    sticky: bool = False
    held: bool = False
    wakes: bool = False
    hold_seconds: int = 60
    timeout_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate chain and its key, both PEM, for the hosts it is to serve."""

    hosts: tuple[str, ...]
    chain: str
    key: str = field(metadata=SEALED)


@dataclass(frozen=True, slots=True, kw_only=True)
class IngressRoutes:
    """One ingress: its routes, its own certificates, and hosts whose certificate is automatic."""

    namespace: str
    name: str
    routes: tuple[HttpRoute, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    automatic_hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingTable:
    """Everything to route as of `generation`, or what changed since `base`.

    With `base` None the table is whole, and what it does not name is gone. Otherwise `services`
    and `ingresses` replace those of the same name, and the names (`namespace/name`) in `removed_`
    go. `peers` are the addresses of all nodes: those may use relay ports. Replicas of
    `open_namespaces` may be reached directly from every namespace; both lists are always complete.
    """

    generation: int
    base: int | None = None
    services: tuple[ServiceRoutes, ...] = ()
    ingresses: tuple[IngressRoutes, ...] = ()
    removed_services: tuple[str, ...] = ()
    removed_ingresses: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    open_namespaces: tuple[str, ...] = ()

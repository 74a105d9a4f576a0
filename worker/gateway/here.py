"""Where this node is: its own addresses, and what its agent knows of its replicas."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import cache

from worker.gateway.live import LOOPBACK, LocalReplica, Place
from worker.protocol import ReplicaSpec, ReplicaStatus
from worker.runtimes.base import FailureReason

# Nobody is asked: the kernel only says which address it would speak from.
_ELSEWHERE = ("192.0.2.1", 9)


def place(
    node: str,
    kept: Iterable[tuple[ReplicaSpec, ReplicaStatus]],
    *,
    has_looked: bool,
    knows_all: bool,
    address: str = "",
) -> Place:
    """Return where we are and who runs here.

    `has_looked` when every known replica has been looked at, `knows_all` when none can be unknown.
    """
    return Place(
        node=node,
        address=address or own_address(),
        # Of thousands of endpoints all that are on one node have the same address.
        is_local=cache(is_local),
        replicas={spec.uid: _replica(spec, s, has_looked=has_looked) for spec, s in kept},
        has_looked=has_looked and knows_all,
    )


def own_address() -> str:
    """Return the address this machine speaks from; the loopback when it speaks with nobody."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_ELSEWHERE)
        except OSError:
            return LOOPBACK
        return str(probe.getsockname()[0])


def reachable_address() -> str:
    """Return the address other machines may reach this one at; empty when there is none."""
    address = own_address()
    return "" if address == LOOPBACK else address


def is_local(address: str) -> bool:
    """Tell whether an address belongs to this machine."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _replica(spec: ReplicaSpec, status: ReplicaStatus, *, has_looked: bool) -> LocalReplica | None:
    """Return what is known of a replica; None when an engine that is away keeps us from knowing."""
    is_unseen = not has_looked or status.reason == FailureReason.ENGINE_DOWN
    if not status.address and is_unseen:
        return None
    return LocalReplica(
        namespace=spec.namespace,
        address=status.address,
        ports=frozenset(port for _, port in status.ports),
        ready=status.ready or not has_looked,
        labels=frozenset(spec.labels),
        named_ports=tuple(
            (port.name, port.container_port)
            for container in spec.containers
            for port in container.ports
            if port.name
        ),
        reachable=status.ports,
    )

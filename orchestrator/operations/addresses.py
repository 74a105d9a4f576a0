"""Give services their addresses and node ports: stable for life, unique in the cluster.

What is given follows from the name where that is free, so that a service that is deleted and made
again usually finds its old ones.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator

from django.conf import settings

from orchestrator.manifests import traffic
from orchestrator.models import Service, ServicePort
from orchestrator.operations.stored import ObjectConflict

NODE_PORTS = range(30000, 32768)
# The first addresses of a range are kept for the cluster's own, such as its name server.
KEPT_BACK = 16
_TRIES = 64
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def give(service: Service, stated: str) -> None:
    """Give an unsaved service the address it asks for, or a free one; none if it is headless.

    Raises:
        ObjectConflict: the address is taken, not ours to give, or another one than it has.
    """
    if stated == traffic.HEADLESS:
        if service.address is not None:
            raise ObjectConflict(_fixed(service, "be without one"))
        return
    if service.pk is not None and service.address is None:
        raise ObjectConflict(_fixed(service, "get one"))
    if stated and service.address is not None and stated not in {service.address, service.address6}:
        raise ObjectConflict(_fixed(service, f"become {stated}"))
    if service.address is None:
        service.address = _take(service, settings.SERVICE_RANGE, "address", stated)
        if settings.SERVICE_RANGE6:
            service.address6 = _take(service, settings.SERVICE_RANGE6, "address6", "")


def node_port(service: Service, port: ServicePort, stated: int | None) -> int:
    """Return the node port that a port of a service gets, or has.

    Raises:
        ObjectConflict: the one asked for is taken, or none is left.
    """
    others = ServicePort.objects.filter(protocol=port.protocol).exclude(node_port=None)
    others = others.exclude(pk=port.pk)
    if stated is not None:
        taken = others.filter(node_port=stated).select_related("service").first()
        if taken is not None:
            raise ObjectConflict(
                f"node port {stated}/{port.protocol} of service {service} is taken by service "
                f"{taken.service}; ask for another, or leave nodePort out to get a free one"
            )
        return stated
    if port.node_port is not None:
        return port.node_port
    taken_ports = set(others.values_list("node_port", flat=True))
    key = f"{service.namespace_id}/{service.name}/{port.number}/{port.protocol}"
    for number in _candidates(key, len(NODE_PORTS)):
        if NODE_PORTS[number] not in taken_ports:
            return NODE_PORTS[number]
    raise ObjectConflict(
        f"no node port from {NODE_PORTS[0]} to {NODE_PORTS[-1]} is left for service {service}"
    )


def _take(service: Service, range_: str, column: str, stated: str) -> str:
    network = ipaddress.ip_network(range_)
    if stated:
        return _stated(service, network, column, stated)
    size = network.num_addresses - KEPT_BACK - 1
    key = f"{service.namespace_id}/{service.name}"
    # Not more than so many: an IPv6 range has no end.
    for number, _ in zip(_candidates(key, size), range(min(size, 1 << 16)), strict=False):
        address = str(network[KEPT_BACK + number])
        if not Service.objects.filter(**{column: address}).exists():
            return address
    raise ObjectConflict(
        f"no address of {network} is left for service {service}; delete a service, or give the "
        "cluster a larger KIJABI_SERVICE_RANGE"
    )


def _stated(service: Service, network: _Network, column: str, stated: str) -> str:
    address = ipaddress.ip_address(stated)
    if address not in network or int(address) - int(network[0]) < KEPT_BACK:
        raise ObjectConflict(
            f"clusterIP {stated} of service {service} is not one to give; use one from "
            f"{network[KEPT_BACK]} to {network[-2]}, or leave it out"
        )
    taken = Service.objects.filter(**{column: str(address)}).first()
    if taken is not None:
        raise ObjectConflict(f"clusterIP {stated} of service {service} is taken by service {taken}")
    return str(address)


def _candidates(key: str, size: int) -> Iterator[int]:
    """Yield every number below `size`: first some that follow from the key, then all in order."""
    for attempt in range(_TRIES):
        digest = hashlib.sha256(f"{key}/{attempt}".encode()).digest()
        yield int.from_bytes(digest[:8]) % size
    everything: Iterable[int] = range(size)
    yield from everything


def _fixed(service: Service, what: str) -> str:
    return (
        f"the address of service {service} is fixed for its life and cannot {what}; "
        "delete the service and create it anew"
    )

"""Give services their addresses and node ports: stable for life, unique in the cluster.

What is given follows from the name where that is free, so that a service that is deleted and made
again usually finds its old ones.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from functools import cache, cached_property

from django.conf import settings

from orchestrator.manifests import traffic
from orchestrator.models import Service, ServicePort
from orchestrator.operations.stored import ObjectConflict

NODE_PORTS = range(30000, 32768)
# The first addresses of a range are kept for the cluster's own, such as its name server.
KEPT_BACK = 16
_TRIES = 64
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Given:
    """Which addresses and node ports services have, read once for as many as are saved."""

    def give(self, service: Service, stated: str) -> None:
        """Give an unsaved service the address it asks for, or a free one; none if it is headless.

        Raises:
            ObjectConflict: the address is taken, not ours to give, or another one than it has.
        """
        own = {service.address, service.address6}
        if stated == traffic.HEADLESS:
            if service.address is not None:
                raise ObjectConflict(_fixed(service, "be without one"))
            return
        if service.pk is not None and service.address is None:
            raise ObjectConflict(_fixed(service, "get one"))
        if stated and service.address is not None and stated not in own:
            raise ObjectConflict(_fixed(service, f"become {stated}"))
        if service.address is None:
            service.address = self._take(service, settings.SERVICE_RANGE, stated)
            if settings.SERVICE_RANGE6:
                service.address6 = self._take(service, settings.SERVICE_RANGE6, "")

    def give_node_port(self, service: Service, port: ServicePort, stated: int | None) -> None:
        """Give a port of a service the node port it asks for, or a free one unless it has one.

        Raises:
            ObjectConflict: the one asked for is taken, or none is left.
        """
        if port.node_port is None or stated not in {None, port.node_port}:
            self.take_node_port(port)
            number = self._node_port(service, port, stated)
            port.node_port, self._ports[port.protocol, number] = number, str(service)

    def take_node_port(self, port: ServicePort) -> None:
        """Take the node port from a port that is to have none, so that another may get it."""
        if port.node_port is not None:
            self._ports.pop((port.protocol, port.node_port), None)
            port.node_port = None

    @cached_property
    def _addresses(self) -> dict[str, str]:
        """Who has which address."""
        rows = Service.objects.exclude(address=None).order_by()
        return {
            address: f"{namespace}/{name}"
            for *both, namespace, name in rows.values_list(
                "address", "address6", "namespace_id", "name"
            )
            for address in both
            if address is not None
        }

    @cached_property
    def _ports(self) -> dict[tuple[str, int], str]:
        """Which service has which node port."""
        rows = ServicePort.objects.exclude(node_port=None).order_by()
        columns = ("protocol", "node_port", "service__namespace_id", "service__name")
        return {
            (protocol, number): f"{namespace}/{name}"
            for protocol, number, namespace, name in rows.values_list(*columns)
        }

    def _node_port(self, service: Service, port: ServicePort, stated: int | None) -> int:
        if stated is not None:
            if (taken := self._ports.get((port.protocol, stated))) is not None:
                raise ObjectConflict(
                    f"node port {stated}/{port.protocol} of service {service} is taken by service "
                    f"{taken}; ask for another, or leave nodePort out to get a free one"
                )
            return stated
        key = f"{service.namespace_id}/{service.name}/{port.number}/{port.protocol}"
        for number in _candidates(key, len(NODE_PORTS)):
            if (port.protocol, NODE_PORTS[number]) not in self._ports:
                return NODE_PORTS[number]
        raise ObjectConflict(
            f"no node port from {NODE_PORTS[0]} to {NODE_PORTS[-1]} is left for service {service}"
        )

    def _take(self, service: Service, range_: str, stated: str) -> str:
        network = _network(range_)
        address = _checked(service, network, stated) if stated else self._free(service, network)
        if (taken := self._addresses.get(address)) is not None:
            raise ObjectConflict(
                f"clusterIP {stated} of service {service} is taken by service {taken}"
            )
        self._addresses[address] = str(service)
        return address

    def _free(self, service: Service, network: _Network) -> str:
        size = network.num_addresses - KEPT_BACK - 1
        key = f"{service.namespace_id}/{service.name}"
        # Not more than so many: an IPv6 range has no end.
        for number, _ in zip(_candidates(key, size), range(min(size, 1 << 16)), strict=False):
            address = str(network[KEPT_BACK + number])
            if address not in self._addresses:
                return address
        raise ObjectConflict(
            f"no address of {network} is left for service {service}; delete a service, or give "
            "the cluster a larger KIJABI_SERVICE_RANGE"
        )


@cache
def _network(range_: str) -> _Network:
    return ipaddress.ip_network(range_)


def _checked(service: Service, network: _Network, stated: str) -> str:
    address = ipaddress.ip_address(stated)
    if address not in network or int(address) - int(network[0]) < KEPT_BACK:
        raise ObjectConflict(
            f"clusterIP {stated} of service {service} is not one to give; use one from "
            f"{network[KEPT_BACK]} to {network[-2]}, or leave it out"
        )
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

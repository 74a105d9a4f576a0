"""The engine's own network: our address on its bridge, and how containers look names up."""

from __future__ import annotations

import fcntl
import socket
from typing import Any

from worker.resolving import Resolving

BRIDGE = "bridge"
_INTERFACE = "com.docker.network.bridge.name"
# As netdevice(7) has them: an ifreq is a name of 16 bytes, then a sockaddr_in of 16 (and padding).
_SIOCGIFADDR, _IFREQ_BYTES, _LONGEST_NAME = 0x8915, 40, 16


def gateway_of(network: dict[str, Any]) -> str:
    """Return the node's IPv4 address on a network; empty when it has none.

    An engine that has made its own network only now does not name it before its next start, so the
    kernel is asked, too.
    """
    pools = (network.get("IPAM") or {}).get("Config") or ()
    addresses = [str(pool.get("Gateway") or "") for pool in pools]
    named = next((address for address in addresses if address and ":" not in address), "")
    return named or address_of((network.get("Options") or {}).get(_INTERFACE, ""))


def address_of(interface: str) -> str:
    """Return the IPv4 address of an interface of this machine; empty when it has none."""
    name = interface.encode()
    if not 0 < len(name) < _LONGEST_NAME:
        return ""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            answer = fcntl.ioctl(asking, _SIOCGIFADDR, name.ljust(_IFREQ_BYTES, b"\0"))
        except OSError:
            return ""
    return socket.inet_ntoa(answer[20:24])


def resolving_options(resolving: Resolving | None) -> dict[str, list[str]]:
    """Return the part of a container's configuration that says how it looks names up."""
    if resolving is None:
        return {}
    return {
        "Dns": list(resolving.servers),
        "DnsSearch": list(resolving.searches),
        "DnsOptions": list(resolving.options),
    }

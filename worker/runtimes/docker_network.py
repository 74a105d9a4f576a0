"""The engine's own network: our address on its bridge, and how containers look names up."""

from __future__ import annotations

from typing import Any

from worker.resolving import Resolving

BRIDGE = "bridge"


def gateway_of(network: dict[str, Any]) -> str:
    """Return the node's IPv4 address on a network; empty when it has none."""
    pools = (network.get("IPAM") or {}).get("Config") or ()
    addresses = [str(pool.get("Gateway") or "") for pool in pools]
    return next((address for address in addresses if address and ":" not in address), "")


def resolving_options(resolving: Resolving | None) -> dict[str, list[str]]:
    """Return the part of a container's configuration that says how it looks names up."""
    if resolving is None:
        return {}
    return {
        "Dns": list(resolving.servers),
        "DnsSearch": list(resolving.searches),
        "DnsOptions": list(resolving.options),
    }

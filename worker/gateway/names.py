"""What names mean here: services for containers, and ends of headless ones. Pure.

`web.default.svc.cluster.local` is the service `web` of the namespace `default`, and so are
`web.default.svc` and `web.default`, unless there is no such service: then they are others' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.gateway.end_names import address_of, end_name
from worker.gateway.live import LiveService
from worker.gateway.rules import family

CLUSTER = "cluster.local"
_SERVICES = f"svc.{CLUSTER}"
_ENDINGS = (f".{_SERVICES}", ".svc", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a name has: addresses, and services of its own as (port, name of who serves)."""

    addresses: tuple[str, ...] = ()
    servers: tuple[tuple[int, str], ...] = ()


NOTHING = Found()


def look_up(name: str, services: Mapping[str, LiveService]) -> Found | None:
    """Return what a name (lower case, no dot at its end) has; None when it is not ours to say.

    `NOTHING` stands for a name of ours that does not exist.
    """
    if (address := address_of(name)) is not None:
        return Found(addresses=(address,))
    for ending in _ENDINGS:
        if not name.endswith(ending):
            continue
        found = _of_service(name.removesuffix(ending) if ending else name, services)
        if found is not None:
            return found
    return NOTHING if name == CLUSTER or name.endswith(f".{CLUSTER}") else None


def _of_service(words: str, services: Mapping[str, LiveService]) -> Found | None:
    """Return what a name within the cluster has: `web.default`, or `_http._tcp.web.default`."""
    labels = words.split(".")
    if len(labels) not in {2, 4} or not all(labels):
        return None
    service = services.get(f"{labels[-1]}/{labels[-2]}")
    if service is None:
        return None
    if len(labels) == 2:
        return Found(addresses=_addresses(service))
    port_name, protocol = (label.removeprefix("_") for label in labels[:2])
    return Found(servers=tuple(_servers(service, port_name, protocol)))


def _addresses(service: LiveService) -> tuple[str, ...]:
    """Return the service's addresses; of a headless one those of its replicas.

    Replicas of other nodes have no address of their own here: their node's stands for them.
    """
    if service.addresses:
        return service.addresses
    targets = [target for port in service.ports for target in port.targets]
    direct = [target for target in targets if not target.is_remote] or targets
    return tuple(dict.fromkeys(target.address for target in direct))


def _servers(service: LiveService, name: str, protocol: str) -> list[tuple[int, str]]:
    own = f"{service.name}.{service.namespace}.{_SERVICES}"
    ports = [p for p in service.ports if p.name == name and p.protocol == protocol]
    if service.addresses:
        return [(port.port, own) for port in ports]
    return [(target.port, end_name(target.address)) for port in ports for target in port.targets]


def of_family(addresses: tuple[str, ...], version: int) -> list[str]:
    """Return the addresses of one version."""
    return [address for address in addresses if family(address) == version]


def search_list(namespace: str) -> tuple[str, ...]:
    """Return what a container of a namespace appends to short names."""
    return (f"{namespace}.{_SERVICES}", _SERVICES, CLUSTER)

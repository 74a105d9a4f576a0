"""What the kernel has to know for each service: elements of maps, and few chains. All of it pure.

A service is two kinds of elements: one that says how many endpoints it has (and so which shared
chain draws among them), and one for each endpoint. A change of endpoints touches elements alone,
which costs the same with a thousand services as with one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from worker.gateway.live import LivePort, LiveService, Target

SEPARATE = " . "


class Element(NamedTuple):
    """One element of a set, or of a map when it has a value."""

    container: str
    key: str
    value: str = ""


class Flow(NamedTuple):
    """What of one port of a service one endpoint gets; no address for a node port."""

    protocol: str
    address: str
    port: int
    target: str
    target_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """A part of the table: elements, and the sets and chains of its own, by name."""

    elements: frozenset[Element] = frozenset()
    sets: Mapping[str, str] = field(default_factory=dict)
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    flows: frozenset[Flow] = frozenset()


@dataclass(slots=True)
class _Draft:
    elements: set[Element] = field(default_factory=set)
    sets: dict[str, str] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    flows: set[Flow] = field(default_factory=set)

    def add(self, container: str, *key: object, value: str = "") -> None:
        joined = SEPARATE.join(map(str, key))
        self.elements.add(Element(container, joined, value))

    def done(self) -> Fragment:
        return Fragment(
            elements=frozenset(self.elements),
            sets=self.sets,
            chains=self.chains,
            flows=frozenset(self.flows),
        )


def for_service(service: LiveService) -> Fragment:
    """Return what the kernel has to know for a service."""
    draft = _Draft()
    for address in service.addresses:
        draft.add(f"addresses{family(address)}", address)
        if service.quiet:
            draft.add(f"quiet{family(address)}", address)
    for port in service.ports:
        for version in (4, 6):
            _add_port(draft, service, port, version)
        for relay, target in port.relays:
            version = family(target.address)
            draft.add(f"{port.protocol}-relays{version}", relay, value=_dial(target))
    return draft.done()


def for_peers(addresses: Iterable[str]) -> Fragment:
    """Return who may use relay ports."""
    draft = _Draft()
    for address in addresses:
        draft.add(f"peers{family(address)}", address)
    return draft.done()


def for_replicas(homes: Mapping[str, str], *, open_namespaces: frozenset[str]) -> Fragment:
    """Return which replica (by address) may reach which directly: those of its namespace.

    Replicas of an open namespace may be reached by all.
    """
    draft = _Draft()
    for address, namespace in homes.items():
        version = family(address)
        word = digest(namespace)
        members, chain = f"members{version}-{word}", f"home{version}-{word}"
        daddr = "ip daddr" if version == 4 else "ip6 daddr"
        draft.sets[members] = f"type ipv{version}_addr;"
        draft.chains[chain] = (
            f"{daddr} @{members} accept",
            f"{daddr} @replicas{version} goto refuse",
        )
        draft.add(members, address)
        draft.add(f"homes{version}", address, value=f"goto {chain}")
        if namespace not in open_namespaces:
            draft.add(f"replicas{version}", address)
    return draft.done()


def family(address: str) -> int:
    """Return 4 or 6."""
    return 6 if ":" in address else 4


def digest(*words: object) -> str:
    """Return a short name for something whose own is too long or too free for the kernel."""
    return hashlib.sha256("/".join(map(str, words)).encode()).hexdigest()[:12]


def _add_port(draft: _Draft, service: LiveService, port: LivePort, version: int) -> None:
    targets = [target for target in port.targets if family(target.address) == version]
    addresses = [a for a in service.addresses if family(a) == version]
    if not targets or not (addresses or port.node_port):
        return
    for target in targets:
        _add_way_back(draft, port, target, version)
    if service.affinity_seconds:
        _add_sticky(draft, service, port, targets)
        return
    for address in addresses:
        key = (address, port.protocol, port.port)
        draft.add(f"services{version}", *key, value=f"goto pick{version}-{len(targets)}")
        ends = f"{port.protocol}-ends{version}"
        for number, target in enumerate(targets):
            draft.add(ends, address, port.port, number, value=_dial(target))
            draft.flows.add(_flow(port, target, address, port.port))
    if port.node_port:
        draft.add(
            f"ports{version}",
            port.protocol,
            port.node_port,
            value=f"goto port{version}-{len(targets)}",
        )
        ends = f"{port.protocol}-port-ends{version}"
        for number, target in enumerate(targets):
            draft.add(ends, port.node_port, number, value=_dial(target))
            draft.flows.add(_flow(port, target, "", port.node_port))
    _add_picks(draft, version, len(targets), has_node_port=bool(port.node_port))


def _add_picks(draft: _Draft, version: int, count: int, *, has_node_port: bool) -> None:
    """Add the chains that draw one of so many; all services with as many endpoints share them."""
    ip = "ip" if version == 4 else "ip6"
    draft.chains[f"pick{version}-{count}"] = _draws(ip, count, f"{ip} daddr . ", f"ends{version}")
    if has_node_port:
        draft.chains[f"port{version}-{count}"] = _draws(ip, count, "", f"port-ends{version}")


def _draws(ip: str, count: int, where: str, ends: str) -> tuple[str, ...]:
    # The second draw is for a packet that meets a change: it was to be one of more than are left.
    counts = (count, 1) if count > 1 else (1,)
    return tuple(
        f"dnat {ip} to {where}{protocol} dport . numgen random mod {among} map @{protocol}-{ends}"
        for among in counts
        for protocol in ("tcp", "udp")
    )


def _add_sticky(draft: _Draft, service: LiveService, port: LivePort, targets: list[Target]) -> None:
    """One client's connections go to one endpoint, remembered in a set of clients for each."""
    version = family(targets[0].address)
    ip = "ip" if version == 4 else "ip6"
    whose = (service.namespace, service.name, port.protocol, port.port, service.affinity_seconds)
    chain = f"stick{version}-{digest(*whose)}"
    known, drawn = [], []
    for number, target in enumerate(targets):
        word = digest(*whose, target.replica, target.address, target.port)
        clients, end = f"clients{version}-{word}", f"end{version}-{word}"
        draft.sets[clients] = (
            f"type ipv{version}_addr; flags dynamic,timeout; "
            f"timeout {service.affinity_seconds}s; size 65536;"
        )
        place = f"[{target.address}]" if version == 6 else target.address
        draft.chains[end] = (
            f"update @{clients} {{ {ip} saddr }}",
            f"meta l4proto {port.protocol} dnat {ip} to {place}:{target.port}",
        )
        known.append(f"{ip} saddr @{clients} goto {end}")
        drawn.append(f"{number} : goto {end}")
    draw = f"numgen random mod {len(targets)} vmap {{ {', '.join(drawn)} }}"
    draft.chains[chain] = (*known, draw)
    for address in service.addresses:
        if family(address) == version:
            key = (address, port.protocol, port.port)
            draft.add(f"services{version}", *key, value=f"goto {chain}")
    if port.node_port:
        draft.add(f"ports{version}", port.protocol, port.node_port, value=f"goto {chain}")


def _add_way_back(draft: _Draft, port: LivePort, target: Target, version: int) -> None:
    """Answers that would not come back through us: to the replica itself, from another node."""
    if target.is_remote:
        draft.add(f"remotes{version}", target.address, port.protocol, target.port)
    else:
        draft.add(f"hairpins{version}", target.address, target.address)


def _dial(target: Target) -> str:
    return f"{target.address}{SEPARATE}{target.port}"


def _flow(port: LivePort, target: Target, address: str, number: int) -> Flow:
    return Flow(port.protocol, address, number, target.address, target.port)


def ordered(elements: Iterable[Element]) -> Iterator[tuple[str, list[Element]]]:
    """Yield elements by the set they are in, all in a fixed order."""
    grouped: dict[str, list[Element]] = {}
    for element in sorted(elements):
        grouped.setdefault(element.container, []).append(element)
    yield from grouped.items()

"""The text of our own nftables table: the whole of it, or what leads from one state to the next.

Everything here is pure; `nftables` hands the text to the kernel, which takes all of it or none.

Invariants: nothing but the one named table is spoken of; a whole table and the changes that lead
to the same fragments are equal; connections that exist are never touched, as the kernel keeps
their destinations apart from these rules.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

from worker.gateway.rules import Element, Fragment, ordered

Key = TypeVar("Key")
NamedSet = tuple[str, str]
NamedChain = tuple[str, tuple[str, ...]]

# Before Docker's own chains at the same hooks, and before its masquerading.
_NAT, _FILTER, _SOURCE = -105, -5, 95


class _Counted(Generic[Key]):
    """Things that several fragments may ask for; they are there until none does."""

    def __init__(self) -> None:
        self._counts: Counter[Key] = Counter()

    def exchange(self, gone: Iterable[Key], new: Iterable[Key]) -> tuple[set[Key], set[Key]]:
        """Note what is asked for no more, and what is; return what goes, and what comes."""
        left, come = set(), set()
        for key in gone:
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
                left.add(key)
        for key in new:
            if key not in self._counts:
                come.add(key)
            self._counts[key] += 1
        return left - come, come - left


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What goes from the table, and what comes."""

    gone_elements: set[Element]
    new_elements: set[Element]
    gone_sets: set[NamedSet]
    new_sets: set[NamedSet]
    gone_chains: set[NamedChain]
    new_chains: set[NamedChain]


class Parts:
    """Everything the fragments of the table ask for."""

    def __init__(self) -> None:
        self._elements: _Counted[Element] = _Counted()
        self._sets: _Counted[NamedSet] = _Counted()
        self._chains: _Counted[NamedChain] = _Counted()

    def exchange(self, gone: Iterable[Fragment], new: Iterable[Fragment]) -> Difference:
        """Note the fragments that go and come; return what that means for the table."""
        old, fresh = list(gone), list(new)
        elements = self._elements.exchange(
            chain.from_iterable(f.elements for f in old),
            chain.from_iterable(f.elements for f in fresh),
        )
        sets = self._sets.exchange(
            chain.from_iterable(f.sets.items() for f in old),
            chain.from_iterable(f.sets.items() for f in fresh),
        )
        chains = self._chains.exchange(
            chain.from_iterable(f.chains.items() for f in old),
            chain.from_iterable(f.chains.items() for f in fresh),
        )
        return Difference(
            gone_elements=elements[0],
            new_elements=elements[1],
            gone_sets=sets[0],
            new_sets=sets[1],
            gone_chains=chains[0],
            new_chains=chains[1],
        )


def whole(table: str, fragments: Iterable[Fragment], *, links: Iterable[str] = ()) -> str:
    """Return the transaction that replaces the table.

    Who reaches a service that is served on the same one of these `links` hides behind the node,
    because answers on the link would not pass by us.
    """
    lines = [f"table inet {table}", f"delete table inet {table}", f"table inet {table} {{"]
    for version, ip in ((4, "ip"), (6, "ip6")):
        lines += _containers(version, ip)
    lines += [*_frame(links), "}"]
    return "\n".join(lines) + "\n" + change(table, Parts().exchange((), fragments))


def change(table: str, difference: Difference) -> str:
    """Return the transaction that makes a difference; empty when there is none."""
    gone_chains = {name for name, _ in difference.gone_chains}
    new_chains = {name for name, _ in difference.new_chains}
    lines = _elements(table, "delete", difference.gone_elements)
    # First all of them, as one may lead to another.
    lines += [f"flush chain inet {table} {name}" for name in sorted(gone_chains)]
    lines += [f"delete chain inet {table} {name}" for name in sorted(gone_chains - new_chains)]
    lines += [f"delete set inet {table} {name}" for name, _ in sorted(difference.gone_sets)]
    lines += [
        f"add set inet {table} {name} {{ {definition} }}"
        for name, definition in sorted(difference.new_sets)
    ]
    lines += [f"add chain inet {table} {name}" for name in sorted(new_chains - gone_chains)]
    lines += [
        f"add rule inet {table} {name} {rule}"
        for name, rules in sorted(difference.new_chains)
        for rule in rules
    ]
    lines += _elements(table, "add", difference.new_elements)
    return "\n".join(lines) + "\n" if lines else ""


def removal(table: str) -> str:
    """Return the transaction after which the table is not there, whether it was or not."""
    return f"table inet {table}\ndelete table inet {table}\n"


def _elements(table: str, verb: str, elements: Iterable[Element]) -> list[str]:
    lines = []
    for name, members in ordered(elements):
        is_plain = verb == "delete"
        words = (e.key if is_plain or not e.value else f"{e.key} : {e.value}" for e in members)
        lines.append(f"{verb} element inet {table} {name} {{ {', '.join(words)} }}")
    return lines


def _containers(version: int, ip: str) -> list[str]:
    address, port = f"ipv{version}_addr", "inet_proto . inet_service"
    lines = [
        f"  map services{version} {{ type {address} . {port} : verdict; }}",
        f"  map ports{version} {{ type {port} : verdict; }}",
        f"  map homes{version} {{ type {address} : verdict; }}",
        f"  set addresses{version} {{ type {address}; }}",
        f"  set peers{version} {{ type {address}; }}",
        f"  set quiet{version} {{ type {address}; }}",
        f"  set remotes{version} {{ type {address} . {port}; }}",
        f"  set hairpins{version} {{ type {address} . {address}; }}",
        f"  set replicas{version} {{ type {address}; }}",
    ]
    # One for each protocol: nft 1.0 takes a rule that looks up ports of both only now and then.
    for protocol in ("tcp", "udp"):
        key = f"{protocol} dport . numgen random mod 2"
        end = f"{ip} daddr . {protocol} dport"
        lines += [
            f"  map {protocol}-ends{version} {{ typeof {ip} daddr . {key} : {end}; }}",
            f"  map {protocol}-port-ends{version} {{ typeof {key} : {end}; }}",
            f"  map {protocol}-relays{version} {{ type inet_service : {address} . inet_service; }}",
        ]
    return lines


def _frame(links: Iterable[str]) -> list[str]:
    """Return the chains that every table has."""
    frame: Mapping[str, tuple[str, ...]] = {
        "services": (
            "ip daddr . meta l4proto . th dport vmap @services4",
            "ip6 daddr . meta l4proto . th dport vmap @services6",
            "fib daddr type local jump node-ports",
        ),
        # A client on the node's own loopback is served by worker/gateway/loopback.py.
        "node-ports": (
            "ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @ports4",
            "ip6 daddr != ::1 meta l4proto . th dport vmap @ports6",
        ),
        # The kernel sends few ICMP errors a second to one client, and as many resets as it takes.
        "refuse": ("meta l4proto tcp reject with tcp reset", "reject"),
        "relays": tuple(
            f"{ip} saddr @peers{version} "
            f"dnat {ip} to {protocol} dport map @{protocol}-relays{version}"
            for version, ip in ((4, "ip"), (6, "ip6"))
            for protocol in ("tcp", "udp")
        ),
        "prerouting": (
            f"type nat hook prerouting priority {_NAT};",
            "jump services",
            "fib daddr type local jump relays",
        ),
        "output": (f"type nat hook output priority {_NAT};", "jump services"),
        "postrouting": (
            f"type nat hook postrouting priority {_SOURCE};",
            *_hiding("ip", 4),
            *_hiding("ip6", 6),
            *(f'ct status dnat iifname "{name}" oifname "{name}" masquerade' for name in links),
        ),
        # What still bears the address of a service has nowhere to go.
        "forward": (
            f"type filter hook forward priority {_FILTER};",
            "ct state established,related accept",
            "ip daddr @addresses4 goto refuse",
            "ip6 daddr @addresses6 goto refuse",
            "ct status dnat accept",
            "ip saddr vmap @homes4",
            "ip6 saddr vmap @homes6",
        ),
        "own-output": (
            f"type filter hook output priority {_FILTER};",
            # That nobody listens there just now: an error that belongs to such a connection.
            "ct state related ct original ip daddr @quiet4 drop",
            "ct state related ct original ip6 daddr @quiet6 drop",
            "ip daddr @addresses4 goto refuse",
            "ip6 daddr @addresses6 goto refuse",
        ),
    }
    lines = []
    for name, rules in frame.items():
        lines += [f"  chain {name} {{", *(f"    {rule}" for rule in rules), "  }"]
    return lines


def _hiding(ip: str, version: int) -> tuple[str, ...]:
    """Where the client's address has to give way to ours, as answers would miss us otherwise."""
    return (
        f"ct status dnat {ip} saddr . {ip} daddr @hairpins{version} masquerade",
        f"ct status dnat {ip} daddr . meta l4proto . th dport @remotes{version} masquerade",
    )

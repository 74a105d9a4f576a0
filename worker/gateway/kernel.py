"""Layer 4: services in the kernel's rules, node ports on the loopback, a way past Docker's wall."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from worker.gateway import conntrack, hairpin, nftables, rules
from worker.gateway.docker_firewall import Permit
from worker.gateway.live import LiveService
from worker.gateway.loopback import Address, Loopback
from worker.gateway.nftables import CannotRoute, KernelTable
from worker.gateway.rotation import View
from worker.gateway.rules import Flow, Fragment
from worker.labels import Owner

logger = logging.getLogger(__name__)


class Kernel:
    """Carries out what is in rotation in rules; nothing is made before there is a use for it.

    `own` are services of the node itself.
    """

    name = "nftables"

    def __init__(self, owner: Owner, own: tuple[LiveService, ...] = ()) -> None:
        self._own = {f"own {service.name}": rules.for_service(service) for service in own}
        self._table = KernelTable(owner)
        self._permit = Permit(self._table.name)
        self._loopback = Loopback()
        self._made: dict[str, tuple[LiveService, Fragment]] = {}
        self._peers: tuple[tuple[str, ...], Fragment] = (), Fragment()
        self._apart: tuple[tuple[dict[str, str], frozenset[str]], Fragment] = (
            ({}, frozenset()),
            Fragment(),
        )
        self._fragments: dict[str, Fragment] = {}
        # An earlier agent's rules are ours to replace, also by none.
        self._is_installed = self._table.is_there()
        self._hairpins: set[str] = set()
        self._left: set[Flow] = set()
        self._wall = ""

    def carry_out(self, view: View) -> None:
        """Have the kernel do what is in rotation.

        Raises:
            CannotRoute: it refused.
        """
        fragments = self._wanted(view)
        if not self._is_installed and not any(f.elements for f in fragments.values()):
            return
        self._table.put(fragments)
        if not self._is_installed:
            self._is_installed = True
            self._wall = self._permit.ensure()
        before, self._fragments = self._fragments, fragments
        self._left |= _flows(before, fragments)
        self._left -= _flows(fragments, before)
        self._loopback.serve(_loopback_ends(view))

    def settle(self, view: View) -> None:
        """Let go of what was sent where nobody listens, and let replicas reach themselves.

        It takes a few programs, for each new replica as well, so it comes after everything urgent:
        whose first packet is lost sends it again after a second. What fails is tried again.
        """
        left, self._left = self._left, set()
        conntrack.forget(left)
        own = {
            target.address
            for service in view.services.values()
            for port in service.ports
            for target in port.targets
            if target.address in view.homes
        }
        self._hairpins &= own
        if nftables.sees_bridges():
            self._hairpins |= {
                address for address in own - self._hairpins if hairpin.allow(address)
            }

    def check(self) -> bool:
        """Tell whether our rules are as we left them; others may have removed them."""
        if not self._is_installed:
            return True
        self._wall = self._permit.ensure()
        return self._table.is_there()

    def busy(self, view: View) -> frozenset[str]:
        """Return the draining replicas that connections still lead to."""
        return conntrack.busy(view.draining())

    def awaited(self) -> frozenset[str]:
        """Return nothing: connections are refused where nobody serves."""
        return frozenset()

    def notes(self) -> tuple[str, ...]:
        """Return what cannot be done here, one sentence each."""
        notes = [self._wall] if self._wall else []
        if self._is_installed and not conntrack.is_installed():
            notes.append(
                "connections cannot be counted and datagrams not redirected: "
                "install the package conntrack"
            )
        if self._loopback.taken:
            ports = ", ".join(map(str, self._loopback.taken))
            notes.append(f"another program listens on the node port {ports} of 127.0.0.1")
        if self._is_installed and not nftables.sees_bridges():
            notes.append(
                "replicas of different namespaces are not kept apart: "
                "set the sysctl net.bridge.bridge-nf-call-iptables to 1"
            )
        return tuple(notes)

    def close(self) -> None:
        """Leave the rules as they are: traffic goes on while the agent is away."""
        self._loopback.close()

    def remove(self) -> None:
        """Take everything of ours out of the kernel.

        Raises:
            CannotRoute: it refused.
        """
        self._table.remove()
        self._permit.remove()

    def _wanted(self, view: View) -> dict[str, Fragment]:
        """Return all fragments; one whose source is unchanged is the very same object."""
        self._made = {name: self._of_service(name, s) for name, s in view.services.items()}
        if self._peers[0] != view.peers:
            self._peers = view.peers, rules.for_peers(view.peers)
        # One namespace alone has nobody to be kept apart from.
        apart = dict(view.homes) if len(set(view.homes.values())) > 1 else {}
        if self._apart[0] != (apart, view.open_namespaces):
            fragment = rules.for_replicas(apart, open_namespaces=view.open_namespaces)
            self._apart = (apart, view.open_namespaces), fragment
        fragments = {name: fragment for name, (_, fragment) in self._made.items()}
        return fragments | self._own | {"peers": self._peers[1], "replicas": self._apart[1]}

    def _of_service(self, name: str, service: LiveService) -> tuple[LiveService, Fragment]:
        known = self._made.get(name)
        if known is not None and known[0] is service:
            return known
        return service, rules.for_service(service)


def _flows(these: Mapping[str, Fragment], others: Mapping[str, Fragment]) -> set[Flow]:
    """Return the flows of fragments that are not the very same in the others."""
    return {
        flow
        for name, fragment in these.items()
        if others.get(name) is not fragment
        for flow in fragment.flows
    }


def _loopback_ends(view: View) -> dict[int, Address]:
    return {
        port.node_port: (service.addresses[0], port.port)
        for service in view.services.values()
        for port in service.ports
        if port.node_port and port.protocol == "tcp" and port.targets and service.addresses
    }


def remove_all(owner: Owner) -> str:
    """Remove the rules of a node that has ended; return what went wrong, empty for nothing."""
    if nftables.why_unusable():
        return ""
    try:
        Kernel(owner).remove()
    except CannotRoute as problem:
        return str(problem)
    return ""

"""Names of services inside containers: an address for resolvers, which the kernel leads to us.

Containers ask a link-local address of this node's own, as no port 53 of the node is taken for it.
While the agent is away nothing tells them so (see `ruleset`): they ask again, and are answered a
second later. There is no second resolver in their list, since some programs ask all at once and
believe the first who says that there is no such name.
"""

from __future__ import annotations

import hashlib
import ipaddress

from worker.gateway.dns import NameServer, node_searches
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.names import search_list
from worker.gateway.rotation import View
from worker.labels import Owner
from worker.resolving import Resolving, ResolvingOf

# One question goes to nobody for long, and short names are first tried within the cluster.
OPTIONS = ("ndots:2", "timeout:1", "attempts:5")


def resolving(owner: Owner) -> ResolvingOf:
    """Return how containers of one node look names up, by their namespace."""
    address, own = address_for(owner), node_searches()

    def of(namespace: str) -> Resolving:
        searches = (*search_list(namespace), *own)
        return Resolving(servers=(address,), searches=searches, options=OPTIONS)

    return of


def address_for(owner: Owner) -> str:
    """Return the link-local address under which one node of one cluster is asked."""
    word = hashlib.sha256(f"{owner.cluster}/{owner.node}".encode()).digest()
    # The ends of 169.254.0.0/16 are reserved, and clouds answer at 169.254.169.254.
    third = 1 + word[0] % 168
    return str(ipaddress.ip_address(f"169.254.{third}.{word[1]}"))


class Discovery:
    """Keeps the name server informed; `service` is how the kernel leads questions to it."""

    # It is no way for traffic, and so not told as one.
    name = ""

    def __init__(self, server: NameServer, address: str, listens_at: str) -> None:
        self._server = server
        end = Target(replica="", address=listens_at, port=server.port)
        ports = tuple(LivePort(port=53, protocol=p, targets=(end,)) for p in ("udp", "tcp"))
        self.service = LiveService(
            namespace="", name="dns", addresses=(address,), ports=ports, quiet=True
        )

    def carry_out(self, view: View) -> None:
        """Answer for what is in rotation."""
        self._server.know_services(view.services)

    def settle(self, view: View) -> None:
        """Do nothing: all of it is done."""

    def check(self) -> bool:
        """Tell that all is well: the server has no state to lose."""
        return True

    def busy(self, view: View) -> frozenset[str]:
        """Return nothing: questions are no requests of replicas."""
        del view
        return frozenset()

    def awaited(self) -> frozenset[str]:
        """Return nothing: questions wait for nobody."""
        return frozenset()

    def notes(self) -> tuple[str, ...]:
        """Return nothing."""
        return ()

    def close(self) -> None:
        """Stop answering."""
        self._server.close()

"""One node's side of routing, step by step, without its worker: from broker to kernel."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from tests.networks import NODE, Network
from worker import protocol, routes
from worker.assignments import AssignmentStore
from worker.gateway.kernel import Kernel
from worker.gateway.live import Place
from worker.gateway.rotation import Rotation, View
from worker.gateway.table import Routes, RouteStore, merged
from worker.identity import Identity
from worker.labels import Owner
from worker.mailbox import Mailbox


class Receiver:
    """A node that runs nothing; without a network its rules go nowhere."""

    def __init__(
        self,
        identity: Identity,
        folder: Path,
        broker: str,
        clock: Callable[[], float],
        net: Network | None,
    ) -> None:
        self.node = identity.node
        self._broker = redis.Redis.from_url(broker)
        self._mailbox = Mailbox(identity, AssignmentStore(folder / "jobs.sqlite3"), clock)
        self._store = RouteStore(folder / "routes.sqlite3")
        self._rotation = Rotation()
        self._net = net
        owner = Owner(cluster="bench", node=self.node)
        self._kernel = net.inside(NODE, lambda: Kernel(owner)) if net is not None else None
        self.routes = Routes()
        self.view = View()

    def fetch(self) -> dict[str, str] | None:
        """Take the oldest letter from the broker, as the worker does; None when there is none."""
        found = self._broker.rpop(protocol.node_queue(self.node))
        if found is None:
            return None
        body = base64.b64decode(json.loads(found)["body"])
        envelope: dict[str, str] = json.loads(body)[1]["envelope"]
        return envelope

    def open(self, envelope: dict[str, str]) -> routes.RoutingTable:
        """Check the letter and read the table in it."""
        letter = self._mailbox.open(routes.ROUTE_TASK, envelope)
        assert letter is not None, self._mailbox.refusals.counts
        table = protocol.from_wire(routes.RoutingTable, letter.arguments["table"])
        self._mailbox.note_taken(letter)
        return table

    def keep(self, table: routes.RoutingTable) -> None:
        """Put the table together with what there was, and on disk."""
        after = merged(self.routes, table)
        assert after is not None
        self._store.save(self.routes, after)
        self.routes = after

    def look(self) -> None:
        """See who is in rotation."""
        self.view = self._rotation.view(self.routes, Place(node=self.node, replicas={}))

    def carry_out(self) -> None:
        """Have the kernel do it."""
        kernel = self._kernel
        if self._net is not None and kernel is not None:
            self._net.inside(NODE, lambda: kernel.carry_out(self.view))

    def take(self) -> None:
        """Do all of it for everything that waits."""
        while (envelope := self.fetch()) is not None:
            self.keep(self.open(envelope))
        self.look()
        self.carry_out()

    def drop(self) -> Any:
        """Forget what waits at the broker."""
        return self._broker.delete(protocol.node_queue(self.node))

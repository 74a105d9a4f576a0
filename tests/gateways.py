"""Gateways as nodes have them, pretended: they carry out tables by the contract, and report."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from orchestrator.operations import autoscaling, ingest, reconcile
from tests.cluster import enrolled
from worker import protocol, routes


class PretendedGateway:
    """One node that routes and runs nothing; `silent` ones take tables and say nothing."""

    def __init__(self, name: str, ways: tuple[str, ...] = ("nftables",)) -> None:
        enrolled(name)
        self.name, self.ways = name, ways
        self.generation, self.sequence = 0, 0
        self.services: dict[str, routes.ServiceRoutes] = {}
        self.ingresses: dict[str, routes.IngressRoutes] = {}
        self.peers: tuple[str, ...] = ()
        self.busy: set[str] = set()
        self.message = ""
        self.waiting: tuple[str, ...] = ()
        self.silent = False
        self.tables: list[routes.RoutingTable] = []

    def take(self, wire: dict[str, Any]) -> None:
        """Carry a table out if it fits, and confirm it."""
        table = protocol.from_wire(routes.RoutingTable, wire)
        self.tables.append(table)
        if table.base is None and table.generation >= self.generation:
            self.services, self.ingresses = {}, {}
        elif not (table.base or 0) <= self.generation < table.generation:
            return
        self.services.update({f"{one.namespace}/{one.name}": one for one in table.services})
        self.ingresses.update({f"{one.namespace}/{one.name}": one for one in table.ingresses})
        for name in table.removed_services:
            self.services.pop(name, None)
        for name in table.removed_ingresses:
            self.ingresses.pop(name, None)
        self.generation, self.peers = table.generation, table.peers
        if not self.silent:
            self.report()

    def report(self, **facts: object) -> ingest.Ingested:
        """Say what is in force, as the control plane's task takes it."""
        self.sequence += 1
        message = protocol.NodeReport(
            node=self.name,
            boot=1,
            sequence=self.sequence,
            sent_at=0.0,
            facts=protocol.NodeFacts(**facts) if facts else None,
            routing=protocol.RoutingStatus(
                generation=self.generation,
                ways=self.ways,
                busy=tuple(sorted(self.busy)),
                message=self.message,
                waiting=self.waiting,
            ),
        )
        result = ingest.ingest(message, now=timezone.now())
        woken = autoscaling.wake(now=timezone.now()) if self.waiting else set()
        for pk in sorted(result.deployments | result.released | woken):
            reconcile.run(pk, now=timezone.now())
        return result

    def serving(self, name: str) -> set[str]:
        """Return the replicas that get new connections of a service."""
        return {one.replica for one in self._endpoints(name) if not one.draining}

    def draining(self, name: str) -> set[str]:
        """Return the replicas that may only finish."""
        return {one.replica for one in self._endpoints(name) if one.draining}

    def _endpoints(self, name: str) -> list[routes.Endpoint]:
        found = self.services.get(f"default/{name}")
        return [one for port in found.ports for one in port.endpoints] if found else []


class Post:
    """Stands in for the broker where tables are published; `held` keeps them until `deliver`."""

    def __init__(self, *gateways: PretendedGateway) -> None:
        self.gateways = {gateway.name: gateway for gateway in gateways}
        self.held = False
        self.waiting: list[tuple[str, dict[str, Any]]] = []

    def publish(self, task: str, letters: dict[str, dict[str, Any]]) -> int:
        """Take the messages for some nodes."""
        assert task == routes.ROUTE_TASK
        self.waiting += [(node, arguments["table"]) for node, arguments in letters.items()]
        if not self.held:
            self.deliver()
        return len(letters)

    def deliver(self) -> None:
        """Hand out everything that waits."""
        waiting, self.waiting = self.waiting, []
        for node, table in waiting:
            if node in self.gateways:
                self.gateways[node].take(table)

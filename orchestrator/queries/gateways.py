"""The gateways of the nodes: which are waited for, and how they do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.snapshot import GatewayView
from orchestrator.models import Gateway, Node, Routing
from orchestrator.queries.rows import Rows

# What a query of nodes has to read besides, so that gateways need none of their own.
OF_NODE = ("gateway__generation", "gateway__busy", "gateway__ways")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayRecord:
    """What routes on one node: up to which generation, with what, and what it cannot do.

    `busy` are replicas that are to stop and still have connections through it. `behind` tells that
    it has not confirmed for long what it was told.
    """

    node: str
    node_state: str
    generation: int
    latest_generation: int
    ways: tuple[str, ...]
    busy: tuple[str, ...]
    message: str
    behind: bool
    confirmed_at: datetime


def waited_for() -> tuple[GatewayView, ...]:
    """Return the gateways that route on nodes that are not lost, by node."""
    rows = Node.objects.order_by("name")
    return waited_for_on(rows.values_list("name", "state", *OF_NODE, named=True))


def waited_for_on(nodes: Iterable[Any]) -> tuple[GatewayView, ...]:
    """Return those of these nodes, of which at least name, state and `OF_NODE` were read."""
    return tuple(
        GatewayView(
            node=row.name,
            generation=row.gateway__generation,
            busy=frozenset(row.gateway__busy),
        )
        for row in nodes
        if row.gateway__ways and row.state != NodeState.LOST
    )


def select() -> Rows[GatewayRecord]:
    """Return the gateways of all nodes, by node."""
    rows = Gateway.objects.select_related("node").order_by("node_id")
    return Rows(rows, complete=_records)


def latest_generation() -> int:
    """Return the generation of the routes as they are now."""
    return Routing.objects.filter(pk=1).values_list("generation", flat=True).first() or 0


def _records(rows: list[Gateway]) -> list[GatewayRecord]:
    latest = latest_generation()
    return [
        GatewayRecord(
            node=str(row.node_id),
            node_state=row.node.state,
            generation=row.generation,
            latest_generation=latest,
            ways=tuple(row.ways),
            busy=tuple(row.busy),
            message=row.message,
            behind=row.behind,
            confirmed_at=row.confirmed_at,
        )
        for row in rows
    ]

"""The gateways of the nodes: which are waited for, and how they do."""

from __future__ import annotations

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.snapshot import GatewayView
from orchestrator.models import Gateway


def waited_for() -> tuple[GatewayView, ...]:
    """Return the gateways that route on nodes that are not lost, by node."""
    rows = Gateway.objects.exclude(node__state=NodeState.LOST).order_by("node_id")
    return tuple(
        GatewayView(node=str(row.node_id), generation=row.generation, busy=frozenset(row.busy))
        for row in rows
        if row.ways
    )

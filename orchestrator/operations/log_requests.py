"""Ask a node for a replica's log."""

from __future__ import annotations

from orchestrator.operations.transport import publish
from worker import protocol


def send(node: str, uid: str, replica: str, *, tail: int | None, follow: bool) -> bool:
    """Send the request; return whether the broker took it."""
    request = protocol.LogRequest(
        uid=uid, replica=protocol.ReplicaUid(replica), tail=tail, follow=follow
    )
    wire = (
        {"tail": None, **protocol.to_wire(request)} if tail is None else protocol.to_wire(request)
    )
    return publish(protocol.STREAM_LOGS_TASK, protocol.node_queue(node), {"request": wire})

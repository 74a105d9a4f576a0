"""The variables every container gets, whichever runtime starts it."""

from __future__ import annotations

from collections.abc import Iterable

from worker.protocol import ReplicaSpec


def variables(replica: ReplicaSpec, node: str, numbers: Iterable[int]) -> dict[str, str]:
    """Return who the replica is and where it listens; what the replica says itself wins.

    `numbers` are the ports to listen on, in the order of the container's ports: `PORT` is the
    first, `PORT_MY_METRICS` the one named my-metrics.
    """
    given = {
        "KIJABI_REPLICA": replica.uid,
        "KIJABI_DEPLOYMENT": replica.deployment,
        "KIJABI_NAMESPACE": replica.namespace,
        "KIJABI_NODE": node,
    }
    pairs = list(zip(replica.container.ports, numbers, strict=True))
    for port, number in reversed(pairs):
        given["PORT"] = str(number)
        if port.name:
            given[f"PORT_{port.name.upper().replace('-', '_')}"] = str(number)
    return given | dict(replica.container.env)

"""Names and labels of containers: written at creation, read back to know what is ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.protocol import ReplicaSpec, ReplicaUid

PREFIX = "dev.kijabi"
CLUSTER = f"{PREFIX}.cluster"
NODE = f"{PREFIX}.node"
REPLICA = f"{PREFIX}.replica"
EPOCH = f"{PREFIX}.epoch"
NAMESPACE = f"{PREFIX}.namespace"
DEPLOYMENT = f"{PREFIX}.deployment"
REVISION = f"{PREFIX}.revision"
SLOT = f"{PREFIX}.slot"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose containers a runtime manages: one node of one cluster.

    Two clusters (two checkouts) or two nodes may share one engine; neither sees the other's.
    """

    cluster: str
    node: str


def container_name(uid: ReplicaUid, epoch: int) -> str:
    """Return the engine-wide unique name; its uniqueness is the fence against doing work twice."""
    return f"kijabi-{uid}-{epoch}"


def labels_for(owner: Owner, replica: ReplicaSpec) -> dict[str, str]:
    """Return the labels that say whose container this is, the user's own labels beneath ours."""
    return {
        **dict(replica.labels),
        CLUSTER: owner.cluster,
        NODE: owner.node,
        REPLICA: replica.uid,
        EPOCH: str(replica.epoch),
        NAMESPACE: replica.namespace,
        DEPLOYMENT: replica.deployment,
        REVISION: str(replica.revision),
        SLOT: str(replica.slot),
    }


def is_ours(owner: Owner, labels: Mapping[str, str]) -> bool:
    """Tell whether a container with these labels belongs to this node of this cluster."""
    return labels.get(CLUSTER) == owner.cluster and labels.get(NODE) == owner.node

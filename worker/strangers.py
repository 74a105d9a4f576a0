"""Containers that are ours by their labels while our list of assignments is lost.

They are kept and told of, so that the control plane can assign them again or have them stopped.
"""

from __future__ import annotations

from worker.assignments import Assignment
from worker.protocol import (
    UNASSIGNED,
    ContainerSpec,
    NodePhase,
    ReplicaSpec,
    ReplicaStatus,
    StopJob,
)
from worker.runtimes.base import ContainerInfo, ContainerState


class Strangers:
    """What runs here unknown to us. Not safe for threads by itself: the agent's lock guards it."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ContainerInfo]] = {}

    def __contains__(self, uid: str) -> bool:
        return uid in self._known

    def meet(self, runtime: str, info: ContainerInfo) -> bool:
        """Note one; return whether that is news."""
        before = self._known.get(info.replica)
        self._known[info.replica] = (runtime, info)
        return before != (runtime, info)

    def forget(self, uid: str) -> None:
        """It has been assigned, or is gone."""
        self._known.pop(uid, None)

    def keep_only(self, runtime: str, names: set[str]) -> None:
        """Forget those of a runtime that are not there any more."""
        for uid, (where, info) in list(self._known.items()):
            if where == runtime and info.name not in names:
                del self._known[uid]

    def take_for_stop(self, job: StopJob) -> Assignment | None:
        """Return an assignment that does nothing but stop the container."""
        if job.replica not in self._known or job.epoch < self._known[job.replica][1].epoch:
            return None
        runtime, info = self._known.pop(job.replica)
        spec = ReplicaSpec(
            uid=info.replica,
            epoch=info.epoch,
            namespace="",
            deployment="",
            revision=0,
            slot=0,
            containers=(ContainerSpec(name="", image=""),),
        )
        return Assignment(spec=spec, runtime=runtime, has_run=True)

    def told(self, uids: set[str] | None) -> list[ReplicaStatus]:
        """Return the account of those that run."""
        return [
            _status(info)
            for uid, (_, info) in self._known.items()
            if info.state is ContainerState.RUNNING and (uids is None or uid in uids)
        ]


def _status(info: ContainerInfo) -> ReplicaStatus:
    return ReplicaStatus(
        uid=info.replica,
        epoch=info.epoch,
        phase=NodePhase.RUNNING,
        reason=UNASSIGNED,
        message="it runs here, but this node has lost its list of assignments",
        container_id=info.id,
    )

"""Remember replicas that have ended here: for fencing, and because a report may be lost.

A start job that comes late must not bring back what was stopped, also after the agent's restart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from worker.assignments import AssignmentStore
from worker.protocol import JobOutcome, JobResult, NodePhase, ReplicaStatus, StartJob, StopJob

KEPT = 500
TOLD_SECONDS = 600.0


class Tombstones:
    """The latest ends, oldest first. Not safe for threads by itself: the agent's lock guards it."""

    def __init__(self, store: AssignmentStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._known = store.load_ended()

    def __contains__(self, uid: str) -> bool:
        return uid in self._known

    def told(self, uids: set[str] | None) -> list[ReplicaStatus]:
        """Return the named ones; without names, those that ended a short while ago."""
        since = self._clock() - TOLD_SECONDS
        return [
            status
            for uid, (at, status) in self._known.items()
            if (at >= since if uids is None else uid in uids)
        ]

    def bury(self, status: ReplicaStatus) -> None:
        """Note an end, on disk first; this takes the replica off the list of assignments."""
        at = self._clock()
        self._known.pop(status.uid, None)
        spare = list(self._known)[: max(0, len(self._known) + 1 - KEPT)]
        self._store.bury(status, at, drop=spare)
        self._known[status.uid] = (at, status)
        for uid in spare:
            del self._known[uid]

    def answer_start(self, job: StartJob) -> bool:
        """Refuse to bring a replica back; return whether this job is refused."""
        found = self._known.get(job.replica.uid)
        if found is None or job.replica.epoch > found[1].epoch:
            return False
        if job.uid not in {result.uid for result in found[1].jobs}:
            message = "the replica was stopped on this node before"
            self._add(found[1], JobResult(uid=job.uid, outcome=JobOutcome.FAILED, message=message))
        return True

    def answer_stop(self, job: StopJob) -> None:
        """Confirm that a replica is not here (any more), whether or not it ever was."""
        done = JobResult(uid=job.uid, outcome=JobOutcome.DONE)
        found = self._known.get(job.replica)
        if found is not None:
            self._add(found[1], done)
            return
        self.bury(
            ReplicaStatus(
                uid=job.replica,
                epoch=job.epoch,
                phase=NodePhase.STOPPED,
                reason="Stopped",
                jobs=(done,),
            )
        )

    def _add(self, status: ReplicaStatus, result: JobResult) -> None:
        others = tuple(known for known in status.jobs if known.uid != result.uid)
        self.bury(replace(status, jobs=(*others, result)))

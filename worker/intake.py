"""Take jobs in: what each one asks is written into the assignment it concerns. Nothing is done yet.

Jobs come at least once, in any order: each is safe to repeat, and one that speaks of an older epoch
than the node knows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from worker.assignments import Assignment
from worker.keeper import Keeper
from worker.protocol import Job, JobOutcome, JobResult, RetryJob, StartJob, StopJob, UpdateJob
from worker.strangers import Strangers
from worker.tombstones import Tombstones


class Intake:
    """Finds what a job concerns. Not safe for threads by itself: the agent's lock guards it."""

    def __init__(
        self,
        keepers: dict[str, Keeper],
        tombstones: Tombstones,
        strangers: Strangers,
        adopt: Callable[[Assignment], Keeper],
        changed: Callable[[str], None],
    ) -> None:
        self._keepers = keepers
        self._tombstones = tombstones
        self._strangers = strangers
        self._adopt = adopt
        self._changed = changed

    def take(self, jobs: Iterable[Job]) -> list[Keeper]:
        """Note what jobs ask; return the keepers that are to be saved and to have a pass."""
        touched: dict[str, Keeper] = {}
        for job in jobs:
            keeper = self._take(job)
            if keeper is not None:
                touched[keeper.uid] = keeper
        return list(touched.values())

    def _take(self, job: Job) -> Keeper | None:
        match job:
            case StartJob():
                return self._take_start(job)
            case StopJob():
                return self._take_stop(job)
            case UpdateJob() | RetryJob():
                return self._take_change(job)

    def _take_start(self, job: StartJob) -> Keeper | None:
        uid, epoch = job.replica.uid, job.replica.epoch
        keeper = self._keepers.get(uid)
        if keeper is None:
            if self._tombstones.answer_start(job):
                self._changed(uid)
                return None
            self._strangers.forget(uid)
            keeper = self._adopt(Assignment(spec=job.replica))
        elif _is_stale(keeper, epoch):
            return _refuse(keeper, job, epoch)
        elif epoch > keeper.assignment.spec.epoch:
            keeper.ask_epoch(job.replica)
        _accept(keeper, "start", job)
        return keeper

    def _take_stop(self, job: StopJob) -> Keeper | None:
        keeper = self._keepers.get(job.replica)
        if keeper is None:
            stranger = self._strangers.take_for_stop(job)
            if stranger is None:
                self._tombstones.answer_stop(job)
                self._changed(job.replica)
                return None
            keeper = self._adopt(stranger)
        elif _is_stale(keeper, job.epoch):
            return _refuse(keeper, job, job.epoch)
        _accept(keeper, "stop", job)
        keeper.ask_stop(job.grace_seconds)
        return keeper

    def _take_change(self, job: UpdateJob | RetryJob) -> Keeper | None:
        keeper = self._keepers.get(job.replica)
        if keeper is None:
            # The report that it has stopped, or the next full one without it, is the answer.
            self._changed(job.replica)
            return None
        if _is_stale(keeper, job.epoch):
            return _refuse(keeper, job, job.epoch)
        kind = "update" if isinstance(job, UpdateJob) else "retry"
        if not _accept(keeper, kind, job):
            return keeper
        if isinstance(job, UpdateJob):
            keeper.outcomes.ask_update(job.uid, job.resources)
        else:
            keeper.ask_retry()
            keeper.assignment.results[kind] = JobResult(uid=job.uid, outcome=JobOutcome.DONE)
        return keeper


def _is_stale(keeper: Keeper, epoch: int) -> bool:
    return epoch < keeper.assignment.spec.epoch


def _accept(keeper: Keeper, kind: str, job: Job) -> bool:
    """Note a job as accepted; return whether it is new (its outcome may be known already)."""
    known = keeper.assignment.results.get(kind)
    if known is not None and known.uid == job.uid:
        return False
    keeper.assignment.results[kind] = JobResult(uid=job.uid, outcome=JobOutcome.ACCEPTED)
    return True


def _refuse(keeper: Keeper, job: Job, epoch: int) -> Keeper:
    message = f"epoch {epoch} is older than the replica's, {keeper.assignment.spec.epoch}"
    refusal = JobResult(uid=job.uid, outcome=JobOutcome.FAILED, message=message)
    keeper.assignment.results["refused"] = refusal
    return keeper

"""What becomes of a replica's jobs, kept with its assignment; and the change of limits they ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from worker.assignments import Assignment
from worker.protocol import JobOutcome, JobResult, JobUid, Resources
from worker.runtimes.base import ContainerRuntime, RuntimeFailure


class Outcomes:
    """The results of one replica's jobs; `save` keeps them and has them told."""

    def __init__(self, assignment: Assignment, save: Callable[[], None]) -> None:
        self._assignment = assignment
        self._save = save
        self._update = _unfinished_update(assignment)

    def ask_update(self, job: JobUid, resources: Resources) -> None:
        """Have the limits changed once the container runs; later starts use them anyway."""
        spec = self._assignment.spec
        container = replace(spec.container, resources=resources)
        self._assignment.spec = replace(spec, containers=(container,))
        self._update = (job, resources)

    def apply_update(self, runtime: ContainerRuntime, name: str) -> str | None:
        """Change the limits if that was asked; return the runtime's note, None without a change."""
        if self._update is None:
            return None
        job, resources = self._update
        self._update = None
        note = None
        try:
            note = runtime.update(name, resources)
            result = JobResult(uid=job, outcome=JobOutcome.DONE, message=note)
        except RuntimeFailure as failure:
            result = JobResult(uid=job, outcome=JobOutcome.FAILED, message=str(failure))
        self._assignment.results["update"] = result
        self._save()
        return note

    def finish(self, kind: str) -> None:
        """Note that what a job of this kind asked has come true."""
        result = self._assignment.results.get(kind)
        if result is not None and result.outcome is JobOutcome.ACCEPTED:
            done = JobResult(uid=result.uid, outcome=JobOutcome.DONE)
            self._assignment.results[kind] = done
            self._save()


def _unfinished_update(assignment: Assignment) -> tuple[JobUid, Resources] | None:
    """Return the change of limits that was accepted before the agent ended, if it was not made."""
    known = assignment.results.get("update")
    if known is None or known.outcome is not JobOutcome.ACCEPTED:
        return None
    return known.uid, assignment.spec.container.resources

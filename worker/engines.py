"""The runtimes of this node: which there are, which answer, and which one an assignment belongs to.

What they answer is noted by the threads that talk to them anyway, so that asking here never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from worker.assignments import Assignment
from worker.runtimes.base import ContainerRuntime, RuntimeFailure

logger = logging.getLogger(__name__)


class Engines:
    """Runtimes by name, the preferred one first; one counts as there until it fails to answer."""

    def __init__(self, runtimes: Mapping[str, ContainerRuntime]) -> None:
        self.runtimes = dict(runtimes)
        self._down: dict[str, str] = {}
        self._notes: dict[str, tuple[str, ...]] = {}

    def pin(self, assignment: Assignment) -> ContainerRuntime | None:
        """Return the runtime an assignment belongs to, choosing one at first sight.

        The choice stays: an engine that is away for a while must not lead to a second container
        of the same replica in another runtime.
        """
        if not assignment.runtime:
            assignment.runtime = assignment.spec.runtime_class or self._preferred()
        return self.runtimes.get(assignment.runtime)

    def found(self, name: str) -> None:
        """Note that a runtime answers, and what it cannot do.

        Raises:
            RuntimeFailure: it does not answer after all.
        """
        if name not in self._notes or name in self._down:
            self._notes[name] = self.runtimes[name].check()
        if self._down.pop(name, None) is not None:
            logger.info("The runtime %s answers again", name)

    def lost(self, name: str, failure: RuntimeFailure) -> None:
        """Note that a runtime does not answer; said once, however often it is tried."""
        if name not in self._down:
            logger.warning("The runtime %s does not answer: %s", name, failure)
        self._down[name] = str(failure)

    def usable(self) -> tuple[str, ...]:
        """Return the names of the runtimes that answer."""
        return tuple(name for name in self.runtimes if name not in self._down)

    def notes(self) -> tuple[str, ...]:
        """Return what there is to know about the runtimes, one sentence each."""
        away = [f"{name}: {why}" for name, why in self._down.items()]
        return (*(f"{name}: {n}" for name, notes in self._notes.items() for n in notes), *away)

    def _preferred(self) -> str:
        return next(iter(self.usable()), next(iter(self.runtimes), ""))

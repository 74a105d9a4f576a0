"""The runtimes of this node: which there are, which answer, and which one an assignment belongs to.

What they answer is noted by the threads that talk to them anyway, so that asking here never waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from worker.assignments import Assignment
from worker.outage import Outage
from worker.runtimes.base import ContainerRuntime, RuntimeFailure


class Engines:
    """Runtimes by name, the preferred one first; one counts as there until it fails to answer."""

    def __init__(
        self, runtimes: Mapping[str, ContainerRuntime], clock: Callable[[], float] = time.time
    ) -> None:
        self.runtimes = dict(runtimes)
        self._outages = {name: Outage(f"The runtime {name}", clock) for name in runtimes}
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
        if name not in self._notes or self._outages[name].is_on:
            self._notes[name] = self.runtimes[name].check()
        self._outages[name].found()

    def lost(self, name: str, failure: RuntimeFailure) -> None:
        """Note that a runtime does not answer."""
        self._outages[name].lost(failure)

    def took_along(self, name: str, at: float) -> bool:
        """Tell whether what ended at a moment may have ended with the runtime itself."""
        return name in self._outages and self._outages[name].explains(at)

    def usable(self) -> tuple[str, ...]:
        """Return the names of the runtimes that answer."""
        return tuple(name for name in self.runtimes if not self._outages[name].is_on)

    def notes(self) -> tuple[str, ...]:
        """Return what there is to know about the runtimes, one sentence each."""
        away = [f"{name}: {outage.why}" for name, outage in self._outages.items() if outage.is_on]
        return (*(f"{name}: {n}" for name, notes in self._notes.items() for n in notes), *away)

    def _preferred(self) -> str:
        return next(iter(self.usable()), next(iter(self.runtimes), ""))

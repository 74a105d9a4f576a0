"""The probes of one running container: startup gates the rest, readiness and liveness follow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from worker import probes
from worker.probes import ProbeTrack
from worker.protocol import ContainerSpec, Probe
from worker.runtimes.base import ContainerInfo, ContainerRuntime

logger = logging.getLogger(__name__)


class Health:
    """What is known of one run of a container; made anew with every start.

    `age` is how many seconds it runs already: initial delays count from its start. `was_ready`
    says that this very container was ready before the agent's own restart: it stays so until a
    probe says otherwise, or else every restart of an agent would take its replicas out of service.
    """

    def __init__(
        self,
        container: ContainerSpec,
        clock: Callable[[], float] = time.monotonic,
        *,
        age: float = 0.0,
        was_ready: bool = False,
    ) -> None:
        self._clock = clock
        now = clock()
        self._began_at = now - age
        self._was_ready = was_ready
        self._spec = container
        self._startup = self._track(container.startup_probe, quick=True)
        if self._startup is not None and was_ready:
            self._startup.passing = True
        self._readiness: ProbeTrack | None = None
        self._liveness: ProbeTrack | None = None
        self._has_begun = False
        self._begin_if_started()

    @property
    def is_started(self) -> bool:
        """Tell whether the startup probe (if any) has passed."""
        return self._startup is None or self._startup.passing is True

    @property
    def is_ready(self) -> bool:
        """Tell whether the replica may serve; initially not, when there is a readiness probe."""
        if not self.is_started:
            return False
        return self._readiness is None or self._readiness.passing is True

    @property
    def grace_seconds(self) -> int | None:
        """Return the grace of the probe that gave up, if it sets one."""
        for track in (self._startup, self._liveness):
            if track is not None and track.passing is False:
                return track.probe.termination_grace_seconds
        return None

    def verdict(self) -> tuple[str, str] | None:
        """Return reason and sentence when a probe has given up on the container."""
        if self._startup is not None and self._startup.passing is False:
            return "StartupProbeFailed", self._startup.message
        if self._liveness is not None and self._liveness.passing is False:
            return "LivenessProbeFailed", self._liveness.message
        return None

    def describe(self) -> tuple[str, str]:
        """Return reason and sentence for a container that runs."""
        if not self.is_started and self._startup is not None:
            return "WaitingForStartup", self._startup.message
        if not self.is_ready and self._readiness is not None:
            return "NotReady", self._readiness.message
        return "Running", ""

    def ask(
        self,
        runtime: ContainerRuntime,
        info: ContainerInfo,
        run: Callable[[Callable[[], None]], None],
        tell: Callable[[], None],
    ) -> float | None:
        """Begin every check that is due, elsewhere; return seconds until the next one is."""
        now = self._clock()
        self._begin_if_started()
        tracks = [track for track in self._active() if not track.in_flight]
        for track in tracks:
            if track.is_due(now):
                track.in_flight = True
                run(self._checking(track, runtime, info, tell))
        waits = [track.next_at - now for track in self._active() if not track.in_flight]
        return max(0.0, min(waits)) if waits else None

    def _checking(
        self,
        track: ProbeTrack,
        runtime: ContainerRuntime,
        info: ContainerInfo,
        tell: Callable[[], None],
    ) -> Callable[[], None]:
        def check() -> None:
            try:
                answer = probes.check(
                    track.probe, info, lambda argv, limit: runtime.exec(info.name, argv, limit)
                )
                track.record(answer, self._clock())
            except Exception:
                # A bug must not leave the probe in flight, which would be never asked again.
                track.postpone(self._clock())
                logger.exception("A probe of %s could not be made", info.name)
            tell()

        return check

    def _active(self) -> list[ProbeTrack]:
        if not self.is_started and self._startup is not None:
            return [self._startup]
        return [track for track in (self._readiness, self._liveness) if track is not None]

    def _begin_if_started(self) -> None:
        if self.is_started and not self._has_begun:
            self._has_begun = True
            self._readiness = self._track(self._spec.readiness_probe, quick=not self._was_ready)
            if self._readiness is not None and self._was_ready:
                self._readiness.passing = True
            self._liveness = self._track(self._spec.liveness_probe, quick=False)

    def _track(self, probe: Probe | None, *, quick: bool) -> ProbeTrack | None:
        if probe is None:
            return None
        return ProbeTrack(probe, began_at=self._began_at, now=self._clock(), quick=quick)

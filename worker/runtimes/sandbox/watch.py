"""Which sandboxes run, by pidfd, and which folders exist: the source of the event stream."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.runtimes.base import EventKind, RuntimeEvent
from worker.runtimes.sandbox import containers, logs
from worker.runtimes.sandbox.containers import Container


@dataclass(slots=True)
class _Watched:
    container: Container
    descriptor: int | None


class Watch:
    """One look-out; used by one thread, but for `look_again` and `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._poller = select.poll()
        self._watched: dict[str, _Watched] = {}
        self._changed: set[str] = set()
        self._guard = threading.Lock()
        self._wake: int | None = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poller.register(self._wake, select.POLLIN)

    def look_again(self, name: str) -> None:
        """Have a sandbox looked at at once: it was started or removed."""
        with self._guard:
            if self._wake is not None:
                self._changed.add(name)
                os.eventfd_write(self._wake, 1)

    def scan(self) -> list[RuntimeEvent]:
        """Return what came or went since the last look, and keep the logs in bounds."""
        with self._guard:
            changed, self._changed = self._changed, set()
        present = self._present()
        events: list[RuntimeEvent] = []
        for name in self._watched.keys() - present:
            events.append(self._vanished(name))
        for name in sorted(present - self._watched.keys() | (present & changed)):
            events += self._appeared(name)
        for watched in self._watched.values():
            if watched.descriptor is not None:
                logs.rotate(watched.container.log)
        return events

    def _present(self) -> set[str]:
        try:
            return set(os.listdir(self._folder))  # noqa: PTH208, a folder of names, every time
        except FileNotFoundError:
            # Somebody deleted it; what was in it has vanished.
            return set()

    def wait(self, seconds: float) -> Iterator[RuntimeEvent]:
        """Wait for deaths, at most so long; a call of `look_again` ends it early."""
        ready = {descriptor for descriptor, _ in self._poller.poll(int(seconds * 1000))}
        with self._guard:
            if self._wake in ready and self._wake is not None:
                os.eventfd_read(self._wake)
        for watched in [w for w in self._watched.values() if w.descriptor in ready]:
            self._let_go(watched)
            watched.container.settle()
            yield RuntimeEvent(kind=EventKind.DIED, replica=watched.container.replica.uid)

    def close(self) -> None:
        """Let go of everything."""
        for watched in self._watched.values():
            self._let_go(watched)
        with self._guard:
            if self._wake is not None:
                os.close(self._wake)
            self._wake = None

    def _appeared(self, name: str) -> list[RuntimeEvent]:
        container = containers.load(self._folder / name)
        known = self._watched.get(name)
        if container is None or (known and known.container.monitor == container.monitor):
            return []
        if known is not None:
            self._let_go(known)
        descriptor = container.monitor.open()
        self._watched[name] = _Watched(container, descriptor)
        if descriptor is None:
            container.settle()
            return [RuntimeEvent(kind=EventKind.DIED, replica=container.replica.uid)]
        self._poller.register(descriptor, select.POLLIN)
        return [RuntimeEvent(kind=EventKind.STARTED, replica=container.replica.uid)]

    def _vanished(self, name: str) -> RuntimeEvent:
        watched = self._watched.pop(name)
        self._let_go(watched)
        # Deleted from outside, it would run on with nobody able to find it.
        watched.container.kill()
        return RuntimeEvent(kind=EventKind.REMOVED, replica=watched.container.replica.uid)

    def _let_go(self, watched: _Watched) -> None:
        if watched.descriptor is not None:
            self._poller.unregister(watched.descriptor)
            os.close(watched.descriptor)
            watched.descriptor = None

"""What sandboxes have used: from their cgroups, or, without any, from their processes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from worker.processes import ProcessId, children
from worker.runtimes.sandbox import containers
from worker.runtimes.sandbox.cgroups import Cgroups
from worker.runtimes.usage import Meter, Usage, of_processes


@dataclass(frozen=True, slots=True)
class _Known:
    """One running sandbox; its folder is read again only when its process is another."""

    monitor: ProcessId
    run: str
    meter: Meter | None


class SandboxMeters:
    """The meters of the sandboxes in one folder; used from one thread."""

    def __init__(self, folder: Path, cgroups: Cgroups) -> None:
        self._folder = folder
        self._cgroups = cgroups
        self._known: dict[str, _Known] = {}

    def read(self, names: Iterable[str]) -> dict[str, Usage]:
        """Return what each of the sandboxes that runs has used."""
        wanted = list(names)
        self._known = {name: self._known[name] for name in wanted if name in self._known}
        found = {}
        for name in wanted:
            known = self._look(name)
            usage = _usage(known) if known is not None else None
            if usage is not None:
                found[name] = usage
        return found

    def _look(self, name: str) -> _Known | None:
        known = self._known.get(name)
        if known is not None and known.monitor.is_alive():
            return known
        self._known.pop(name, None)
        container = containers.load(self._folder / name)
        if container is None or not container.is_running():
            return None
        run = container.info(running=True, oom_killed=False).id
        known = _Known(container.monitor, run, self._cgroups.meter(name, run))
        self._known[name] = known
        return known


def _usage(known: _Known) -> Usage | None:
    if known.meter is not None:
        return known.meter.read()
    return of_processes(known.run, _below(known.monitor.pid))


def _below(pid: int) -> list[int]:
    """Return a process and everything below it."""
    found = [pid]
    for member in found:
        found.extend(children(member))
    return found

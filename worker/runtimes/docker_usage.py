"""What containers of the engine have used: from the kernel's files, or as the engine says.

The engine is asked once for each run of a container; its statistics, which cost it a hundred times
more, are the fallback for engines on another machine or behind namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests
from docker.errors import DockerException, NotFound

from worker.runtimes.docker_errors import failure_of
from worker.runtimes.usage import Meter, Usage, meter_of_process


class DockerMeters:
    """The meters of one engine's containers; `api` is the SDK's low-level client. One thread."""

    def __init__(self, api: Any) -> None:
        self._api = api
        self._meters: dict[str, Meter | None] = {}

    def read(self, names: Iterable[str]) -> dict[str, Usage]:
        """Return what each container that runs has used.

        Raises:
            RuntimeFailure: the engine does not answer.
        """
        wanted = list(names)
        self._meters = {name: self._meters[name] for name in wanted if name in self._meters}
        found = {}
        for name in wanted:
            usage = self._read(name)
            if usage is not None:
                found[name] = usage
        return found

    def _read(self, name: str) -> Usage | None:
        meter = self._meters.get(name)
        usage = meter.read() if meter is not None else None
        if usage is not None:
            return usage
        try:
            state = self._api.inspect_container(name)
            if not state["State"]["Running"]:
                self._meters.pop(name, None)
                return None
            meter = _meter(state)
            self._meters[name] = meter
            return meter.read() if meter is not None else self._statistics(name, state["Id"])
        except NotFound:
            self._meters.pop(name, None)
            return None
        except (DockerException, requests.RequestException, OSError) as error:
            raise failure_of(error, f"measuring {name}") from error

    def _statistics(self, name: str, container: str) -> Usage | None:
        told = self._api.stats(name, stream=False, one_shot=True)
        memory = told.get("memory_stats") or {}
        if "usage" not in memory:
            return None
        detail = memory.get("stats") or {}
        cache = detail.get("inactive_file", detail.get("total_inactive_file", 0))
        networks = (told.get("networks") or {}).values()
        return Usage(
            run=container,
            cpu_nanoseconds=int(told["cpu_stats"]["cpu_usage"]["total_usage"]),
            memory_bytes=max(0, int(memory["usage"]) - int(cache)),
            received_bytes=sum(one["rx_bytes"] for one in networks) if networks else None,
            sent_bytes=sum(one["tx_bytes"] for one in networks) if networks else None,
        )


def _meter(state: dict[str, Any]) -> Meter | None:
    """Return the container's meter, if its process is one of this machine as seen from here."""
    pid, container = int(state["State"]["Pid"]), str(state["Id"])
    try:
        # On another machine, or in another pid namespace, the number means somebody else.
        if container not in Path(f"/proc/{pid}/cgroup").read_text():
            return None
    except OSError:
        return None
    return meter_of_process(pid, f"{container}@{state['State']['StartedAt']}")

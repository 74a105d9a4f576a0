"""What is kept of each sandbox on disk, so that any agent process can take it over.

One folder per container: `spec.json`, bubblewrap's `status.json`, `process.json` and the log. The
folder's name is the container's; making it is what makes the name unique.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker import protocol
from worker.protocol import ReplicaSpec
from worker.runtimes.base import ContainerInfo, ContainerState
from worker.runtimes.sandbox.processes import ProcessId, children

LOST_EXIT_CODE = 137
EXEC_FAILED_EXIT_CODE = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One sandbox as its folder tells."""

    folder: Path
    replica: ReplicaSpec
    environment: Mapping[str, str]
    ports: tuple[tuple[int, int], ...]
    note: str
    monitor: ProcessId | None
    started_at: float

    @property
    def name(self) -> str:
        """Return the container's name."""
        return self.folder.name

    @property
    def log(self) -> Path:
        """Return the file its output goes to."""
        return self.folder / "log"

    def is_running(self) -> bool:
        """Tell whether it runs: bubblewrap's outer process lives exactly as long."""
        return self.monitor is not None and self.monitor.is_alive()

    def init(self) -> ProcessId | None:
        """Return the first process of its pid namespace; killing it ends everything inside."""
        pid = self._status().get("child-pid")
        return ProcessId.of(pid) if isinstance(pid, int) else None

    def payload(self) -> ProcessId | None:
        """Return the process that was asked for: the child of the namespace's first."""
        init = self.init()
        inside = children(init.pid) if init is not None else []
        return ProcessId.of(inside[0]) if inside else None

    def info(self, *, oom_killed: bool) -> ContainerInfo:
        """Return the container as the agent sees it."""
        running = self.is_running()
        code = None if running else self._exit_code()
        return ContainerInfo(
            id=f"{self.name}@{self.started_at:.6f}",
            name=self.name,
            replica=self.replica.uid,
            epoch=self.replica.epoch,
            state=ContainerState.RUNNING if running else ContainerState.EXITED,
            exit_code=code,
            oom_killed=oom_killed and not running,
            started_at=self.started_at,
            finished_at=None if running else self._finished_at(),
            address="127.0.0.1",
            ports=self.ports,
            note=self.note,
        )

    def _exit_code(self) -> int:
        status = self._status()
        if isinstance(code := status.get("exit-code"), int):
            return code
        # Without an exit code the outer process was killed, or the command could not be executed.
        tail = self.log.read_bytes()[-500:] if self.log.exists() else b""
        return EXEC_FAILED_EXIT_CODE if b"bwrap: " in tail else LOST_EXIT_CODE

    def _finished_at(self) -> float:
        try:
            return (self.folder / "status.json").stat().st_mtime
        except OSError:
            return time.time()

    def _status(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        try:
            for line in (self.folder / "status.json").read_text().splitlines():
                merged |= json.loads(line)
        except (OSError, ValueError):
            return merged
        return merged


def save(
    folder: Path,
    replica: ReplicaSpec,
    environment: Mapping[str, str],
    ports: tuple[tuple[int, int], ...],
    note: str,
) -> None:
    """Write down what a new container is to be."""
    body = {
        "replica": protocol.to_wire(replica),
        "environment": dict(environment),
        "ports": [list(pair) for pair in ports],
        "note": note,
    }
    (folder / "spec.json").write_text(json.dumps(body))


def save_process(folder: Path, process: ProcessId, started_at: float) -> None:
    """Write down which process it became."""
    body = {"pid": process.pid, "start": process.start, "started_at": started_at}
    draft = folder / ".process.json"
    draft.write_text(json.dumps(body))
    draft.rename(folder / "process.json")


def load(folder: Path) -> Container | None:
    """Return what a folder tells; None when it is no (complete) container."""
    try:
        body = json.loads((folder / "spec.json").read_text())
        process = _load_process(folder)
        return Container(
            folder=folder,
            replica=protocol.from_wire(ReplicaSpec, body["replica"]),
            environment=body["environment"],
            ports=tuple((int(a), int(b)) for a, b in body["ports"]),
            note=body["note"],
            monitor=ProcessId(process["pid"], process["start"]) if process else None,
            started_at=process.get("started_at", 0.0),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _load_process(folder: Path) -> dict[str, Any]:
    path = folder / "process.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def all_in(parent: Path) -> Iterator[Container]:
    """Yield every container of a node."""
    for folder in sorted(parent.glob("kijabi-*")):
        container = load(folder)
        if container is not None:
            yield container


def remove(folder: Path) -> None:
    """Forget a container."""
    shutil.rmtree(folder, ignore_errors=True)

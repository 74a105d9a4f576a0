"""What is kept of each sandbox on disk, so that any agent process can take it over.

One folder per container: `spec.json`, `process.json` (bubblewrap's outer process, which lives as
long as the payload), bubblewrap's `status.json` and the log. A folder appears under the
container's name, by a rename, once its payload runs; until then it is a draft, and a draft that
no start is working on is the remains of a killed agent.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker import protocol
from worker.processes import ProcessId, children, is_in_pid_namespace
from worker.protocol import ReplicaSpec
from worker.runtimes.base import ContainerInfo, ContainerState

LOST_EXIT_CODE = 137
KILL_SECONDS = 5.0
LOCKS = 64
REMOVALS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One sandbox as its folder tells."""

    folder: Path
    replica: ReplicaSpec
    environment: Mapping[str, str]
    ports: tuple[tuple[int, int], ...]
    note: str
    monitor: ProcessId
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
        return self.monitor.is_alive()

    def init(self) -> ProcessId | None:
        """Return the first process of its pid namespace; killing it ends everything inside."""
        return _init(self.folder)

    def payload(self) -> ProcessId | None:
        """Return the process that was asked for: the child of the namespace's first."""
        init = self.init()
        inside = children(init.pid) if init is not None else []
        return ProcessId.of(inside[0]) if inside else None

    def kill(self) -> None:
        """End everything in the sandbox now."""
        _kill(self.folder, self.monitor)

    def settle(self) -> None:
        """Finish what bubblewrap leaves undone once its outer process has ended.

        Processes that the payload left behind are ended, as in any container; and when the outer
        process was killed, nothing else would ever tell an exit code.
        """
        if self.is_running():
            return
        if self.init() is not None:
            self.kill()
        if "exit-code" not in status_of(self.folder):
            with contextlib.suppress(FileNotFoundError):
                descriptor = os.open(self.folder / "status.json", os.O_WRONLY | os.O_APPEND)
                os.write(descriptor, b'{ "exit-code": %d }\n' % LOST_EXIT_CODE)
                os.close(descriptor)

    def info(self, *, running: bool, oom_killed: bool) -> ContainerInfo:
        """Return the container as the agent sees it; settle it before saying that it has ended."""
        return ContainerInfo(
            id=f"{self.name}@{self.monitor.start}.{self.monitor.pid}",
            name=self.name,
            replica=self.replica.uid,
            epoch=self.replica.epoch,
            state=ContainerState.RUNNING if running else ContainerState.EXITED,
            exit_code=None if running else status_of(self.folder).get("exit-code", LOST_EXIT_CODE),
            oom_killed=oom_killed and not running,
            started_at=self.started_at,
            finished_at=None if running else _changed_at(self.folder / "status.json"),
            address="127.0.0.1",
            ports=self.ports,
            note=self.note,
        )


def new_draft(parent: Path, name: str) -> Path:
    """Make the folder in which a container is prepared."""
    return Path(tempfile.mkdtemp(prefix=f"{name}.", dir=parent))


def save(
    draft: Path,
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
    (draft / "spec.json").write_text(json.dumps(body))


def load(folder: Path) -> Container | None:
    """Return what a folder tells; None when it is no (complete) container."""
    try:
        body = json.loads((folder / "spec.json").read_text())
        process = json.loads((folder / "process.json").read_text())
        return Container(
            folder=folder,
            replica=protocol.from_wire(ReplicaSpec, body["replica"]),
            environment=body["environment"],
            ports=tuple((int(a), int(b)) for a, b in body["ports"]),
            note=body["note"],
            monitor=ProcessId(process["pid"], process["start"]),
            started_at=(folder / "process.json").stat().st_mtime,
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def all_in(parent: Path) -> Iterator[Container]:
    """Yield every container of a node."""
    for folder in sorted(parent.iterdir()):
        container = load(folder)
        if container is not None:
            yield container


def status_of(folder: Path) -> dict[str, Any]:
    """Return what bubblewrap has told so far; a line that is being written does not count."""
    merged: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "status.json").read_text().splitlines():
            merged |= json.loads(line)
    return merged


def destroy(folder: Path) -> None:
    """End a container or draft and forget it.

    Raises:
        OSError: the folder cannot be removed.
    """
    for _ in range(REMOVALS):
        # Its first process may write itself down at any moment until the folder is gone.
        with contextlib.suppress(OSError, ValueError, KeyError):
            process = json.loads((folder / "process.json").read_text())
            _kill(folder, ProcessId(process["pid"], process["start"]))
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    shutil.rmtree(folder)


@contextlib.contextmanager
def locked(locks: Path, name: str, *, wait: bool = True) -> Iterator[int | None]:
    """Hold a name against every thread and process of this node; None when it is taken.

    The descriptor can be inherited: the name is free when the last holder has closed it.
    """
    # A few shared locks instead of one file per name, which nobody could ever safely delete.
    path = locks / str(zlib.crc32(name.encode()) % LOCKS)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _init(folder: Path) -> ProcessId | None:
    status = status_of(folder)
    pid, namespace = status.get("child-pid"), status.get("pid-namespace")
    if not isinstance(pid, int) or not isinstance(namespace, int):
        return None
    found = ProcessId.of(pid)
    # The pid alone may long belong to somebody else.
    return found if found is not None and is_in_pid_namespace(pid, namespace) else None


def _kill(folder: Path, monitor: ProcessId) -> None:
    init = _init(folder)
    if init is not None:
        init.signal(signal.SIGKILL)
        init.wait(KILL_SECONDS)
    elif monitor.is_alive():
        # Hardly born. Once stopped, it cannot fork behind our back.
        monitor.signal(signal.SIGSTOP)
        for pid in children(monitor.pid):
            if (child := ProcessId.of(pid)) is not None:
                child.signal(signal.SIGKILL)
        monitor.signal(signal.SIGKILL)
    monitor.wait(KILL_SECONDS)


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None

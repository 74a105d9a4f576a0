"""A runtime that runs nothing: for tests and simulations, with faults on demand.

It keeps the same promises as the real ones (one contract suite holds all three to them).
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from worker import labels
from worker.protocol import ContainerSpec, PullPolicy, ReplicaSpec, Resources
from worker.runtimes.base import (
    ContainerInfo,
    ContainerState,
    EventKind,
    ExecResult,
    FailureReason,
    LogLine,
    OutputCallback,
    ProgressCallback,
    RuntimeEvent,
    RuntimeFailure,
    Usage,
    ignore_output,
)
from worker.runtimes.collecting import Collector

NO_USE = Usage(run="", cpu_nanoseconds=0, memory_bytes=0)


@dataclass(slots=True)
class Faults:
    """What is to go wrong. Lists are used up from the front; sets stay in force."""

    starts: list[RuntimeFailure] = field(default_factory=list)
    pulls: list[RuntimeFailure] = field(default_factory=list)
    unknown_images: set[str] = field(default_factory=set)
    unknown_commands: set[str] = field(default_factory=set)
    hanging_commands: set[tuple[str, ...]] = field(default_factory=set)
    engine_down: bool = False
    lose_start_reply: int = 0
    start_seconds: float = 0.0


@dataclass(slots=True)
class _Container:
    info: ContainerInfo
    spec: ReplicaSpec
    resources: Resources
    lines: list[LogLine] = field(default_factory=list)
    usage: Usage = NO_USE


class InMemoryRuntime:
    """Containers as entries of a dictionary."""

    name = "in-memory"

    def __init__(self, owner: labels.Owner) -> None:
        self._owner = owner
        self._lock = threading.RLock()
        self._containers: dict[str, _Container] = {}
        self._listeners: list[queue.SimpleQueue[RuntimeEvent | None]] = []
        self._ids = itertools.count(1)
        self.faults = Faults()
        self.exec_results: dict[tuple[str, ...], ExecResult] = {}
        self.exec_pieces: dict[tuple[str, ...], Iterable[tuple[str, bytes]]] = {}
        self.created = 0

    def check(self) -> tuple[str, ...]:
        """Return no notes: everything asked for is pretended."""
        self._require_engine()
        return ()

    def bridge_address(self) -> str:
        """Return nothing: pretended containers have no network."""
        return ""

    def list(self) -> tuple[ContainerInfo, ...]:
        """Return every container."""
        self._require_engine()
        with self._lock:
            return tuple(container.info for container in self._containers.values())

    def inspect(self, name: str) -> ContainerInfo | None:
        """Return one container."""
        self._require_engine()
        with self._lock:
            found = self._containers.get(name)
            return found.info if found else None

    def pull(self, container: ContainerSpec, on_progress: ProgressCallback) -> None:
        """Pretend to fetch the image."""
        self._require_engine()
        if self.faults.pulls:
            raise self.faults.pulls.pop(0)
        if container.image in self.faults.unknown_images:
            raise RuntimeFailure(
                FailureReason.IMAGE_NOT_FOUND, f"image {container.image} was not found"
            )
        if container.pull_policy is PullPolicy.ALWAYS:
            on_progress(f"pulled {container.image}")

    def start(self, replica: ReplicaSpec) -> ContainerInfo:
        """Pretend to start the container."""
        self._require_engine()
        if self.faults.start_seconds:
            time.sleep(self.faults.start_seconds)
        name = labels.container_name(replica.uid, replica.epoch)
        with self._lock:
            existing = self._containers.get(name)
            if existing and existing.info.state is ContainerState.RUNNING:
                return existing.info
            if self.faults.starts:
                raise self.faults.starts.pop(0)
            self._require_command(replica.container)
            info = self._create(name, replica)
        self._tell(EventKind.STARTED, replica)
        if self.faults.lose_start_reply:
            self.faults.lose_start_reply -= 1
            raise RuntimeFailure(FailureReason.UNKNOWN, "the engine did not answer")
        return info

    def _require_command(self, container: ContainerSpec) -> None:
        command = next(iter(container.command), "")
        if command in self.faults.unknown_commands:
            raise RuntimeFailure(
                FailureReason.COMMAND_NOT_FOUND,
                f"{command}: its command does not exist in the image; check command and args",
                permanent=True,
            )

    def _create(self, name: str, replica: ReplicaSpec) -> ContainerInfo:
        self.created += 1
        info = ContainerInfo(
            id=f"memory-{next(self._ids)}",
            name=name,
            replica=replica.uid,
            epoch=replica.epoch,
            state=ContainerState.RUNNING,
            started_at=time.time(),
            address="127.0.0.1",
            ports=tuple((p.container_port, p.container_port) for p in replica.container.ports),
        )
        self._containers[name] = _Container(info, replica, replica.container.resources)
        return info

    def stop(self, name: str, grace_seconds: int) -> None:
        """End the container with the exit code of SIGTERM, or of SIGKILL without grace."""
        self._require_engine()
        self.die(name, 143 if grace_seconds else 137)

    def remove(self, name: str) -> None:
        """Forget the container."""
        self._require_engine()
        with self._lock:
            gone = self._containers.pop(name, None)
        if gone is not None:
            self._tell(EventKind.REMOVED, gone.spec)

    def update(self, name: str, resources: Resources) -> str:
        """Remember the new limits."""
        self._require_engine()
        with self._lock:
            if name not in self._containers:
                raise RuntimeFailure(FailureReason.NOT_FOUND, f"there is no container {name}")
            self._containers[name].resources = resources
        return ""

    def logs(
        self, name: str, *, tail: int | None, follow: bool, stop: threading.Event
    ) -> Iterator[LogLine]:
        """Yield the lines given by `print_line`."""
        container = self._containers.get(name)
        if container is None:
            return
        first = 0 if tail is None else max(0, len(container.lines) - tail)
        while True:
            yield from container.lines[first:]
            first = len(container.lines)
            ended = container.info.state is not ContainerState.RUNNING
            if not follow or stop.wait(0.01) or (ended and first == len(container.lines)):
                return

    def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        timeout_seconds: float,
        *,
        take: OutputCallback = ignore_output,
        stop: threading.Event | None = None,
    ) -> ExecResult:
        """Return what `exec_results` says about the command; others succeed, or are unknown."""
        self._require_engine()
        container = self._containers.get(name)
        if container is None or container.info.state is not ContainerState.RUNNING:
            raise RuntimeFailure(FailureReason.NOT_FOUND, f"there is no running container {name}")
        collector = Collector(timeout_seconds, take, stop)
        if argv[0] in self.faults.unknown_commands:
            collector.add("stderr", f"{argv[0]}: No such file or directory\n".encode())
            return collector.exited(127)
        result = self.exec_results.get(argv, ExecResult(exit_code=0, output=""))
        for stream, data in self.exec_pieces.get(argv, [("stdout", result.output.encode())]):
            if collector.patience() <= 0:
                return collector.given_up()
            collector.add(stream, data)
        while argv in self.faults.hanging_commands:
            if (patience := collector.patience()) <= 0:
                return collector.given_up()
            time.sleep(min(patience, 0.01))
        return collector.exited(result.exit_code)

    def usages(self, names: Sequence[str]) -> Mapping[str, Usage]:
        """Return what `use` has said of each container that runs; nothing at first."""
        self._require_engine()
        with self._lock:
            known = {name: self._containers[name] for name in names if name in self._containers}
        return {
            name: replace(one.usage, run=one.info.id)
            for name, one in known.items()
            if one.info.state is ContainerState.RUNNING
        }

    def use(self, name: str, *, cpu_nanoseconds: int = 0, memory_bytes: int = 0) -> None:
        """Let a container use more cpu, and so much memory."""
        with self._lock:
            container = self._containers[name]
            container.usage = replace(
                container.usage,
                cpu_nanoseconds=container.usage.cpu_nanoseconds + cpu_nanoseconds,
                memory_bytes=memory_bytes,
            )

    def events(self, stop: threading.Event) -> Iterator[RuntimeEvent]:
        """Yield what happens from now on."""
        self._require_engine()
        inbox: queue.SimpleQueue[RuntimeEvent | None] = queue.SimpleQueue()
        with self._lock:
            self._listeners.append(inbox)
        try:
            yield RuntimeEvent(kind=EventKind.RESYNC)
            while not stop.is_set():
                try:
                    event = inbox.get(timeout=0.1)
                except queue.Empty:
                    continue
                if event is None:
                    raise RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine went away")
                yield event
        finally:
            self._listeners.remove(inbox)

    def die(self, name: str, exit_code: int = 1, *, oom_killed: bool = False) -> None:
        """End a container from outside (fault)."""
        with self._lock:
            container = self._containers.get(name)
            if container is None or container.info.state is not ContainerState.RUNNING:
                return
            container.info = replace(
                container.info,
                state=ContainerState.EXITED,
                exit_code=exit_code,
                oom_killed=oom_killed,
                finished_at=time.time(),
            )
        self._tell(EventKind.DIED, container.spec)

    def crash_engine(self) -> None:
        """End every container and break the event streams (fault)."""
        for name in list(self._containers):
            self.die(name, 137)
        with self._lock:
            for inbox in self._listeners:
                inbox.put(None)

    def print_line(self, name: str, text: str) -> None:
        """Let a container write one line."""
        with self._lock:
            self._containers[name].lines.append(LogLine(text=text, at=time.time()))

    def resources_of(self, name: str) -> Resources:
        """Return the limits in force."""
        return self._containers[name].resources

    def _tell(self, kind: EventKind, replica: ReplicaSpec) -> None:
        with self._lock:
            for inbox in self._listeners:
                inbox.put(RuntimeEvent(kind=kind, replica=replica.uid))

    def _require_engine(self) -> None:
        if self.faults.engine_down:
            raise RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine does not answer")

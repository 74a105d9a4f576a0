"""What the agent needs of a container runtime, and the values it gets back.

A runtime only acts and looks; it never decides, retries or keeps a thread of its own beyond the
event stream. Every call carries its own time limit. All failures are `RuntimeFailure`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from worker.protocol import ContainerSpec, PullPolicy, ReplicaSpec, ReplicaUid, Resources
from worker.runtimes.usage import Usage


class ContainerState(StrEnum):
    """Where a container stands in the runtime."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerInfo:
    """One container as the runtime sees it now.

    `address` is where the node can reach it, `ports` maps container port → port at that address.
    `note` is one sentence when something asked for (a limit, say) is not enforced. Instants are
    seconds since the epoch.
    """

    id: str
    name: str
    replica: ReplicaUid
    epoch: int
    state: ContainerState
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    address: str = ""
    ports: tuple[tuple[int, int], ...] = ()
    note: str = ""


class EventKind(StrEnum):
    """What an event stream tells; `RESYNC` means events may have been missed: list again."""

    STARTED = "started"
    DIED = "died"
    REMOVED = "removed"
    RESYNC = "resync"


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEvent:
    """Something happened to a container of ours (`replica` is empty for `RESYNC`)."""

    kind: EventKind
    replica: ReplicaUid = ReplicaUid("")  # noqa: RUF009, a plain string at run time


class FailureReason(StrEnum):
    """Why a runtime call failed; the words people see."""

    IMAGE_NOT_FOUND = "ImageNotFound"
    IMAGE_AUTH = "ImageAuthRequired"
    IMAGE_RATE_LIMITED = "ImageRateLimited"
    IMAGE_NEVER_PULL = "ImageNeverPull"
    NETWORK = "NetworkError"
    DISK_FULL = "DiskFull"
    COMMAND_NOT_FOUND = "CommandNotFound"
    PORT_TAKEN = "PortTaken"
    INVALID = "InvalidContainer"
    ENGINE_DOWN = "EngineUnavailable"
    NOT_FOUND = "ContainerNotFound"
    NAME_TAKEN = "NameTaken"
    UNSUPPORTED = "Unsupported"
    UNKNOWN = "RuntimeError"


class RuntimeFailure(Exception):
    """A runtime call that did not succeed.

    `permanent` means the same call will fail again until a person changes something; the agent
    still tries again, with back-off, because the something may be outside its sight.
    """

    def __init__(self, reason: FailureReason, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.reason = reason
        self.permanent = permanent


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One line of output; `at` is seconds since the epoch, None where the runtime cannot tell."""

    text: str
    at: float | None = None
    stream: str = "stdout"


class ExecEnd(StrEnum):
    """Why a command run inside a container is over."""

    EXITED = "exited"
    TIMED_OUT = "timed-out"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecResult:
    """How a command run inside a container ended; `output` is its last output (≤ 64 KiB).

    A command that ran out of time has the exit code 124, one that was stopped 137, and it has been
    killed with everything it started; where it could not be, `left` says so in one sentence.
    """

    exit_code: int
    output: str
    end: ExecEnd = ExecEnd.EXITED
    left: str = ""


ProgressCallback = Callable[[str], None]
# Called with `stdout` or `stderr` and what was written there, from one thread at a time.
OutputCallback = Callable[[str, bytes], None]


def ignore_output(stream: str, data: bytes) -> None:
    """Take no notice of output."""
    del stream, data


class ContainerRuntime(Protocol):
    """A container runtime bound to one owner; safe to call from many threads at once."""

    name: str

    def check(self) -> tuple[str, ...]:
        """Return notes about what this runtime cannot do on this machine.

        Raises:
            RuntimeFailure: it cannot be used at all (engine not running, no bwrap, …).
        """

    def bridge_address(self) -> str:
        """Return this node's address on the containers' network; empty when they share its own."""

    def list(self) -> tuple[ContainerInfo, ...]:
        """Return every container of this owner, running or not."""

    def inspect(self, name: str) -> ContainerInfo | None:
        """Return one container, or None when it does not exist."""

    def pull(self, container: ContainerSpec, on_progress: ProgressCallback) -> None:
        """Make the image present as its pull policy asks; progress is one short sentence a call.

        Raises:
            RuntimeFailure: with an `IMAGE_*`, `NETWORK` or `DISK_FULL` reason.
        """

    def start(self, replica: ReplicaSpec) -> ContainerInfo:
        """Create and start the replica's container under its own name.

        A container of that name that runs already is returned as it is (the call is safe to
        repeat); one that was created but never started is started; one that has exited is
        removed and made anew (a restart begins with a fresh file system, as in Kubernetes).
        A failed start leaves no container behind.
        """

    def stop(self, name: str, grace_seconds: int) -> None:
        """Send the stop signal, wait up to the grace, kill; a missing container is no error."""

    def remove(self, name: str) -> None:
        """Kill and remove the container with everything kept for it; missing is no error."""

    def update(self, name: str, resources: Resources) -> str:
        """Change limits in place; return a note (empty when all is enforced)."""

    def logs(
        self, name: str, *, tail: int | None, follow: bool, stop: threading.Event
    ) -> Iterator[LogLine]:
        """Yield the latest `tail` lines (None: all); with `follow`, until `stop` or its end."""

    def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        timeout_seconds: float,
        *,
        take: OutputCallback = ignore_output,
        stop: threading.Event | None = None,
    ) -> ExecResult:
        """Run a command inside, without input; kill it when its time is up or at `stop`.

        `take` gets its output as it comes. A command that does not exist has the exit code 127, one
        that cannot be executed 126, and the last line on its stderr says why.

        Raises:
            RuntimeFailure: `NOT_FOUND` when the container does not run.
        """

    def usages(self, names: Sequence[str]) -> Mapping[str, Usage]:
        """Return what each of the named containers that runs has used so far (from one thread).

        Raises:
            RuntimeFailure: the engine does not answer.
        """

    def events(self, stop: threading.Event) -> Iterator[RuntimeEvent]:
        """Yield events of this owner's containers until `stop`; the first one is `RESYNC`.

        Raises:
            RuntimeFailure: the stream broke; the caller calls again, which starts with `RESYNC`.
        """


__all__ = [
    "ContainerInfo",
    "ContainerRuntime",
    "ContainerState",
    "EventKind",
    "ExecEnd",
    "ExecResult",
    "FailureReason",
    "LogLine",
    "OutputCallback",
    "ProgressCallback",
    "PullPolicy",
    "RuntimeEvent",
    "RuntimeFailure",
    "Usage",
    "ignore_output",
]

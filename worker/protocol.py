"""The wire contract between the control plane and a node: jobs one way, reports the other.

Everything that crosses the broker is built and read here. Messages are JSON objects; unknown
fields are ignored, missing optional ones take their default, so that one release of skew works.
Instants are seconds since the epoch by the sender's clock; memory is bytes; cpu is thousandths
of a core.

Invariants: `from_wire(to_wire(x)) == x`; `from_wire` raises `MalformedMessage` and nothing else.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import NewType, TypeVar

VERSION = 1
# A field with this mark is read by nobody but the node it is for (worker/sealing.py).
SEALED = types.MappingProxyType({"sealed": True})

ReplicaUid = NewType("ReplicaUid", str)
JobUid = NewType("JobUid", str)

CONTROL_QUEUE = "control"
START_TASK = "worker.start_containers"
STOP_TASK = "worker.stop_containers"
UPDATE_TASK = "worker.update_containers"
RETRY_TASK = "worker.retry_containers"
PING_TASK = "worker.ping"
STREAM_LOGS_TASK = "worker.stream_logs"
RUN_COMMAND_TASK = "worker.run_command"
REPORT_TASK = "orchestrator.ingest_report"


_NODE_QUEUE = "node."


def node_queue(node: str) -> str:
    """Return the name of the queue that only this node consumes."""
    return f"{_NODE_QUEUE}{node}"


def heard_key(node: str) -> str:
    """Return the key at the broker under which a node answers pings."""
    return f"heard:{node}"


def node_of_queue(queue: str) -> str | None:
    """Return whose queue it is, None when it is no node's."""
    return queue.removeprefix(_NODE_QUEUE) if queue.startswith(_NODE_QUEUE) else None


def answer_uid(node: str, unique: str) -> str:
    """Return the uid of a request whose answer comes through a stream only this node writes."""
    return f"{node}.{unique}"


class MalformedMessage(ValueError):
    """A message that does not have the shape this version understands."""


class ProbeKind(StrEnum):
    """How a probe asks."""

    HTTP = "http"
    TCP = "tcp"
    EXEC = "exec"


class PullPolicy(StrEnum):
    """When an image is fetched, with Kubernetes' names."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class NodePhase(StrEnum):
    """Where a replica stands on its node; the order of the members is the only way it can move.

    Restarts in place happen inside `RUNNING` (or `STARTING`, if it never ran): the phase stays,
    `ready` and `reason` tell.
    """

    ACCEPTED = "accepted"
    PULLING = "pulling"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


class JobOutcome(StrEnum):
    """What became of a job on its node."""

    ACCEPTED = "accepted"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port the container listens on; `host_port` publishes it on the node (None: do not)."""

    container_port: int
    host_port: int | None = None
    protocol: str = "TCP"
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits the runtime enforces and requests it weighs by; None means not set."""

    cpu_limit_millis: int | None = None
    memory_limit_bytes: int | None = None
    cpu_request_millis: int | None = None
    memory_request_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One health check, with Kubernetes' meaning of every field."""

    kind: ProbeKind
    command: tuple[str, ...] = ()
    path: str = "/"
    port: int = 0
    host: str = ""
    scheme: str = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    termination_grace_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSpec:
    """What to run: `command` replaces the image's entrypoint, `args` its command."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = field(default=(), metadata=SEALED)
    working_dir: str = ""
    ports: tuple[Port, ...] = ()
    resources: Resources = Resources()
    pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaSpec:
    """One replica assigned to one node: everything the node needs to keep it running."""

    uid: ReplicaUid
    epoch: int
    namespace: str
    deployment: str
    revision: int
    slot: int
    runtime_class: str = ""
    grace_seconds: int = 30
    labels: tuple[tuple[str, str], ...] = ()
    containers: tuple[ContainerSpec, ...] = ()

    @property
    def container(self) -> ContainerSpec:
        """Return the replica's only container (several are refused at the API for now)."""
        return self.containers[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """Assign a replica to the node: run it and keep it running until a stop job."""

    uid: JobUid
    replica: ReplicaSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob:
    """Take a replica back: stop its container with the given grace, remove it, forget it."""

    uid: JobUid
    replica: ReplicaUid
    epoch: int
    grace_seconds: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateJob:
    """Change the limits of a running replica in place, without a restart."""

    uid: JobUid
    replica: ReplicaUid
    epoch: int
    resources: Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryJob:
    """Forget the back-off of a crash-looping replica and try again now."""

    uid: JobUid
    replica: ReplicaUid
    epoch: int


Job = StartJob | StopJob | UpdateJob | RetryJob


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRequest:
    """Ask a node for a replica's log; lines go to the Redis stream `logs:<uid>`.

    With `follow` the node goes on while the key `logs:<uid>:wanted` exists.
    """

    uid: str
    replica: ReplicaUid
    tail: int | None = 200
    follow: bool = False


class CommandOutcome(StrEnum):
    """Why a command is over; `FAILED` means it could not be run at all."""

    EXITED = "exited"
    TIMED_OUT = "timed-out"
    CUT = "cut"
    ABANDONED = "abandoned"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """Ask a node to run a command; its output goes to the Redis stream `commands:<uid>`.

    It is killed when the key `commands:<uid>:wanted` is gone.
    """

    uid: str
    replica: ReplicaUid
    argv: tuple[str, ...] = field(metadata=SEALED)
    timeout_seconds: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What became of one job; `message` is one sentence when it failed."""

    uid: JobUid
    outcome: JobOutcome
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatestDeath:
    """How the latest run of a replica ended; `log_tail` is its last lines (≤ 64 KiB)."""

    finished_at: float
    exit_code: int | None = None
    oom_killed: bool = False
    log_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaStatus:
    """A node's account of one assigned replica.

    `reason` is a fixed word (`Running`, `ImageNotFound`, `CrashLoopBackOff`, …), `message` a
    sentence. `address` and `ports` (container port, reachable port) say where it listens.
    `resources` are the limits in force; `note` says what could not be enforced.
    """

    uid: ReplicaUid
    epoch: int
    phase: NodePhase
    ready: bool = False
    reason: str = ""
    message: str = ""
    restarts: int = 0
    started_at: float | None = None
    next_try_at: float | None = None
    container_id: str = ""
    address: str = ""
    ports: tuple[tuple[int, int], ...] = ()
    resources: Resources | None = None
    note: str = ""
    death: LatestDeath | None = None
    jobs: tuple[JobResult, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """What a node is and can run."""

    labels: tuple[tuple[str, str], ...] = ()
    runtimes: tuple[str, ...] = ()
    cpu_millis: int = 0
    memory_bytes: int = 0
    release: str = ""
    address: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeReport:
    """Facts from one node: all replicas when `full`, otherwise those that changed.

    `boot` grows with every start of the agent, `sequence` with every report of one boot; the pair
    orders everything a node says.
    """

    node: str
    boot: int
    sequence: int
    sent_at: float
    full: bool = False
    facts: NodeFacts | None = None
    replicas: tuple[ReplicaStatus, ...] = ()
    version: int = VERSION


Message = TypeVar("Message")


def to_wire(message: object) -> dict[str, object]:
    """Return the JSON object for any message here, leaving out fields at their default."""
    if not dataclasses.is_dataclass(message) or isinstance(message, type):
        raise TypeError(f"{message!r} is not a protocol message")
    wire: dict[str, object] = {}
    for one in dataclasses.fields(message):
        value = getattr(message, one.name)
        if one.name == "version" or value != one.default:
            wire[one.name] = _plain(value)
    return wire


def from_wire(kind: type[Message], wire: object) -> Message:
    """Read one message of the given kind from a decoded JSON object.

    Raises:
        MalformedMessage: a field is missing or has the wrong type, or the version is newer.
    """
    if not isinstance(wire, Mapping):
        raise MalformedMessage(f"{kind.__name__}: expected an object, got {type(wire).__name__}")
    version = wire.get("version", VERSION)
    if "version" in _hints(typing.cast(typing.Hashable, kind)) and (
        not isinstance(version, int) or version > VERSION
    ):
        raise MalformedMessage(
            f"{kind.__name__}: it speaks protocol version {version!r}, and this release "
            f"understands no more than {VERSION}; upgrade this side first"
        )
    values: dict[str, object] = {}
    for name, hint in _hints(typing.cast(typing.Hashable, kind)).items():
        if name in wire:
            values[name] = _typed(hint, wire[name], f"{kind.__name__}.{name}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise MalformedMessage(f"{kind.__name__}: {error}") from error


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value):
        return to_wire(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    return value


@cache
def _hints(kind: typing.Hashable) -> dict[str, object]:
    return typing.get_type_hints(kind)


def _typed(hint: object, value: object, path: str) -> object:
    """Return `value` as the type the hint names; the hints used here are a small closed set."""
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        inner = next(arg for arg in typing.get_args(hint) if arg is not type(None))
        return _typed(inner, value, path)
    if origin is dict:
        if not isinstance(value, dict):
            raise MalformedMessage(f"{path}: expected an object, got {type(value).__name__}")
        return value
    if origin is tuple:
        return _typed_tuple(typing.get_args(hint), value, path)
    if isinstance(hint, NewType):
        hint = hint.__supertype__
    return _typed_scalar(hint, value, path)


def _typed_tuple(arguments: tuple[object, ...], value: object, path: str) -> object:
    if not isinstance(value, list | tuple):
        raise MalformedMessage(f"{path}: expected a list")
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_typed(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(value))
    if len(value) != len(arguments):
        raise MalformedMessage(f"{path}: expected {len(arguments)} items, got {len(value)}")
    return tuple(
        _typed(hint, item, f"{path}[{i}]")
        for i, (hint, item) in enumerate(zip(arguments, value, strict=True))
    )


def _typed_scalar(hint: object, value: object, path: str) -> object:
    if not isinstance(hint, type):
        raise TypeError(f"{path}: the protocol cannot carry {hint!r}")
    if dataclasses.is_dataclass(hint):
        return from_wire(hint, value)
    if issubclass(hint, StrEnum):
        try:
            return hint(str(value))
        except ValueError:
            raise MalformedMessage(f"{path}: {value!r} is not one of {list(hint)}") from None
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise MalformedMessage(f"{path}: expected {hint.__name__}, got {type(value).__name__}")
    return value

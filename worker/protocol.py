"""The wire contract between the control plane and a node: jobs one way, reports the other.

Everything that crosses the broker is one of these messages, or one of worker/routes.py, as JSON
(worker/wire.py). Instants are seconds since the epoch by the sender's clock; memory is bytes; cpu
is thousandths of a core.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from worker.wire import SEALED, VERSION, MalformedMessage, NewerVersion, from_wire, to_wire

# Passed on, so that a message and its form on the wire come from one place.
__all__ = ["SEALED", "VERSION", "MalformedMessage", "NewerVersion", "from_wire", "to_wire"]

ReplicaUid = NewType("ReplicaUid", str)
JobUid = NewType("JobUid", str)

CONTROL_QUEUE = "control"
# The reason of a replica that runs on a node which has lost its list of assignments.
UNASSIGNED = "Unassigned"
START_TASK = "worker.start_containers"
STOP_TASK = "worker.stop_containers"
UPDATE_TASK = "worker.update_containers"
RETRY_TASK = "worker.retry_containers"
PING_TASK = "worker.ping"
STREAM_LOGS_TASK = "worker.stream_logs"
RUN_COMMAND_TASK = "worker.run_command"
FORWARD_PORT_TASK = "worker.forward_port"
REPORT_TASK = "orchestrator.ingest_report"
METRICS_TASK = "orchestrator.ingest_metrics"


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
class ForwardRequest:
    """Ask a node to connect to a port of a replica, as the container knows it.

    Bytes go through the lists `forwards:<uid>:in` and `forwards:<uid>:out`, as long as the key
    `forwards:<uid>:wanted` exists.
    """

    uid: str
    replica: ReplicaUid
    port: int


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
    """What a node is and can run.

    `taints` (key, value, effect) are those it begins with; later they are people's to change.
    """

    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[tuple[str, str, str], ...] = ()
    runtimes: tuple[str, ...] = ()
    cpu_millis: int = 0
    memory_bytes: int = 0
    release: str = ""
    address: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingStatus:
    """What a node's gateways do: the generation of routes in force (worker/routes.py).

    `busy` are draining replicas that still have requests or connections through this node.
    `ways` says what it can route with (`nftables`, `caddy`); `message` what it cannot do.
    `waiting` are services (`namespace/name`) for which requests wait here, as no replica serves.
    """

    generation: int
    ways: tuple[str, ...] = ()
    busy: tuple[ReplicaUid, ...] = ()
    message: str = ""
    waiting: tuple[str, ...] = ()


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
    routing: RoutingStatus | None = None
    version: int = VERSION

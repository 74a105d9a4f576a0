"""Composition root of a node worker: Celery application, runtimes, agent, reporter."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import redis
from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from worker.agent import Agent
from worker.assignments import AssignmentStore
from worker.command_stream import CommandStreams
from worker.config import RELEASE, WorkerConfig
from worker.envelope import Refusals
from worker.forwarding import Forwards
from worker.gateway import assembly, discovery, here, nftables
from worker.gateway.gateway import Gateway
from worker.identity import FILE, Identity
from worker.labels import Owner
from worker.log_stream import LogStreams
from worker.mailbox import Mailbox
from worker.outage import Outage
from worker.protocol import CONTROL_QUEUE, METRICS_TASK, REPORT_TASK, NodeFacts, node_queue
from worker.pulse import Pulse
from worker.reporter import Reporter
from worker.resolving import ResolvingOf, as_the_runtime_likes
from worker.runtimes.base import ContainerRuntime, RuntimeFailure
from worker.sampler import Sampler
from worker.state_folder import StateFolder

logger = logging.getLogger(__name__)

app = Celery("kijabi-node", include=["worker.tasks"])
app.conf.update(
    broker_transport="worker.gate:Transport",
    worker_consumer="worker.reconnecting:Consumer",
    task_ignore_result=True,
    task_acks_late=True,
    task_reject_on_worker_lost=False,
    task_serializer="json",
    accept_content=["json"],
    task_create_missing_queues=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    worker_soft_shutdown_timeout=2,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    timezone="UTC",
)


# How long a node goes on saying that it dropped messages.
DROPPED_SECONDS = 120.0


@dataclass(slots=True, kw_only=True)
class Node:
    """One node worker put together."""

    config: WorkerConfig
    agent: Agent
    reporter: Reporter
    logs: LogStreams
    commands: CommandStreams
    forwards: Forwards
    mailbox: Mailbox
    pulse: Pulse
    sampler: Sampler
    gateway: Gateway | None = None
    latest_message_at: float = 0.0
    refused: str = ""

    def start(self) -> None:
        """Begin to route, to keep replicas and to report."""
        if self.gateway is not None:
            self.gateway.start()
        self.agent.start()
        self.reporter.start(self.agent.has_looked)
        self.sampler.start()

    def close(self) -> None:
        """Stop; containers run on, what people run in them or send through us does not."""
        self.commands.close()
        self.forwards.close()
        self.sampler.close()
        if self.gateway is not None:
            self.gateway.close()
        self.agent.close()
        self.reporter.close()


_installed: list[Node] = []
_broker = Outage("The broker")


def install(node: Node) -> None:
    """Make this the node that the tasks of this process speak to."""
    _installed[:] = [node]


def current() -> Node:
    """Return the installed node.

    Raises:
        LookupError: none was installed.
    """
    if not _installed:
        raise LookupError("no node is installed in this process; call worker.app.install first")
    return _installed[0]


def configure(config: WorkerConfig) -> None:
    """Point the Celery application at the broker and at this node's own queue."""
    app.conf.update(
        broker_url=config.redis_url,
        task_queues=[Queue(node_queue(config.node))],
        task_default_queue=node_queue(config.node),
        broker_transport_options={
            "visibility_timeout": 120,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "unacked_key": f"unacked:{config.node}",
            "unacked_index_key": f"unacked_index:{config.node}",
            "unacked_mutex_key": f"unacked_mutex:{config.node}",
            # Where a message goes back to that names no queue, as those of an earlier release.
            "deadletter_queue": node_queue(config.node),
            # How long one wait for a message lasts: fewer wake-ups while idle, the same delay.
            "polling_interval": 3,
            # A publisher that cannot connect is told so at once: the row is sent again later.
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "health_check_interval": 5,
            "max_connections": 8,
        },
    )


def build(
    config: WorkerConfig,
    identity: Identity,
    runtimes: Mapping[str, ContainerRuntime],
    send: Callable[[str, dict[str, str]], bool],
) -> Node:
    """Put a node together from its parts; `send` takes the task and the envelope of a report."""
    store = AssignmentStore(config.state_dir / "assignments.sqlite3")
    mailbox = Mailbox(identity, store, time.time)
    boot = store.next_boot(time.time())
    reporter = Reporter(
        config.node,
        boot,
        lambda: describe(config, agent, mailbox.refusals, folder.look()),
        lambda report: send(REPORT_TASK, mailbox.sign_report(report)),
        full_seconds=config.report_seconds,
    )

    def changed(uid: str) -> None:
        if gateway is not None:
            gateway.replica_changed(uid)
        reporter.changed(uid)

    gateway: Gateway | None = None
    agent = Agent(
        runtimes,
        store,
        changed,
        passing=reporter.passing,
        start_threads=config.start_threads,
    )
    folder = StateFolder(config.state_dir / FILE, identity, store, agent.assignments)
    reporter.attach(agent.statuses)
    if config.gateway:
        bridge = _bridge_address(runtimes)
        gateway = assembly.gateway(config, agent, reporter.tell_routing, bridge=bridge)
        agent.died = gateway.replica_changed
        reporter.attach_routing(lambda: gateway.status if gateway is not None else None)

    def connect() -> redis.Redis:
        return redis.Redis.from_url(config.redis_url, socket_timeout=5)

    return Node(
        config=config,
        agent=agent,
        reporter=reporter,
        logs=LogStreams(agent, connect),
        commands=CommandStreams(agent, connect),
        forwards=Forwards(agent, connect),
        mailbox=mailbox,
        pulse=Pulse(config.node, mailbox.sign_answer, connect),
        sampler=Sampler(
            config.node,
            boot,
            agent,
            lambda report: send(METRICS_TASK, mailbox.sign_metrics(report)),
            seconds=config.metrics_seconds,
            requests=gateway.requests if gateway is not None else lambda _seconds: None,
        ),
        gateway=gateway,
    )


def _bridge_address(runtimes: Mapping[str, ContainerRuntime]) -> str:
    """Return this node's address on the bridge of its containers; empty when there is none."""
    for runtime in runtimes.values():
        try:
            if address := runtime.bridge_address():
                return address
        except RuntimeFailure as failure:
            logger.warning("The bridge of %s is not known: %s", runtime.name, failure)
    return ""


def send_report(task: str, envelope: dict[str, str]) -> bool:
    """Publish a report, straight to the control queue; return whether the broker took it."""
    try:
        app.send_task(
            task,
            kwargs={"envelope": envelope},
            queue=Queue(CONTROL_QUEUE, no_declare=True),
            declare=[],
            retry=False,
            ignore_result=True,
        )
    except (OperationalError, redis.RedisError, OSError) as error:
        _broker.lost(error)
        return False
    _broker.found()
    return True


def choose_runtimes(config: WorkerConfig, *, patient: bool = False) -> dict[str, ContainerRuntime]:
    """Return the runtimes to offer, the preferred one first.

    A runtime that was asked for by name is offered even when it does not answer yet. So is, for a
    `patient` caller, an engine that is installed and merely not up: at boot it often comes later.
    """
    owner = Owner(cluster=config.cluster, node=config.node)
    chosen: dict[str, ContainerRuntime] = {}
    for name, make in (("docker", _docker), ("sandbox", _sandbox)):
        if config.runtime not in {"auto", name}:
            continue
        runtime = make(config, owner)
        try:
            runtime.check()
        except RuntimeFailure as failure:
            logger.warning("The runtime %s is not usable here: %s", name, failure)
            may_come = patient and name == "docker" and _is_engine_installed()
            if config.runtime != name and not may_come:
                continue
        chosen[name] = runtime
    return chosen


def _is_engine_installed() -> bool:
    from worker.runtimes.docker import socket_url  # noqa: PLC0415, loads slowly

    scheme, _, path = socket_url().partition("://")
    return scheme != "unix" or Path(path).exists()


def _docker(config: WorkerConfig, owner: Owner) -> ContainerRuntime:
    from worker.runtimes.docker import DockerRuntime  # noqa: PLC0415, loads slowly

    return DockerRuntime(owner, _resolving(config, owner))


def _sandbox(config: WorkerConfig, owner: Owner) -> ContainerRuntime:
    from worker.runtimes.sandbox import SandboxRuntime  # noqa: PLC0415, as above

    return SandboxRuntime(
        owner,
        config.state_dir / "sandbox",
        hidden=config.home,
        resolving=_resolving(config, owner),
    )


def _resolving(config: WorkerConfig, owner: Owner) -> ResolvingOf:
    """Return how containers look names up: by us, where the kernel leads their questions to us."""
    if not config.gateway or nftables.why_unusable():
        return as_the_runtime_likes
    return discovery.resolving(owner)


def describe(
    config: WorkerConfig, agent: Agent, refusals: Refusals, more: tuple[str, ...] = ()
) -> NodeFacts:
    """Return what this node is and can run, as far as is known: nothing is asked or waited for.

    The reporter calls this, and an engine that hangs must not keep it from answering pings.
    """
    notes = agent.engines.notes()
    if not agent.runtimes:
        notes = ("no runtime is usable here; install Docker, or allow user namespaces",)
    if dropped := refusals.lasting(DROPPED_SECONDS):
        notes += (f"what the control plane sends is dropped here: {dropped}",)
    notes += more
    machine = platform.machine()
    labels = {
        "kubernetes.io/hostname": config.node,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
        **dict(config.labels),
    }
    return NodeFacts(
        labels=tuple(sorted(labels.items())),
        taints=config.taints,
        runtimes=agent.engines.usable(),
        cpu_millis=len(os.sched_getaffinity(0)) * 1000,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        release=RELEASE,
        address=config.address or here.reachable_address(),
        notes=notes,
    )

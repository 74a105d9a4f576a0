"""Docker Engine (or Podman's compatible socket) as a container runtime. The only user of its SDK.

Containers are hardened: no new privileges, few capabilities, a limit on processes, an init
process that reaps, rotated logs. The engine never restarts them; the agent does.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound

from worker import labels
from worker.protocol import ContainerSpec, PullPolicy, ReplicaSpec, Resources
from worker.resolving import ResolvingOf, as_the_runtime_likes
from worker.runtimes import docker_client, docker_events
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
from worker.runtimes.docker_answers import (
    Progress,
    container_from_inspection,
    container_from_row,
    lines_of,
    split_image,
)
from worker.runtimes.docker_errors import failure_of, pull_failure
from worker.runtimes.docker_exec import Command
from worker.runtimes.docker_network import BRIDGE, gateway_of, resolving_options
from worker.runtimes.docker_usage import DockerMeters
from worker.runtimes.variables import variables

CALL_SECONDS = 60
POOL_SIZE = 64
PIDS_LIMIT = 512
LOCKS = 1024
KNOWN_IMAGE_SECONDS = 30.0
NO_LIMIT_MEMORY = 0
# Docker's default set without AUDIT_WRITE, MKNOD, NET_RAW, SETFCAP, SETPCAP and SYS_CHROOT.
CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL"]
CAPABILITIES += ["NET_BIND_SERVICE", "SETGID", "SETUID"]


def socket_url() -> str:
    """Return where the engine listens: DOCKER_HOST, else the first socket that exists."""
    if url := os.environ.get("DOCKER_HOST"):
        return url
    own = Path(os.environ.get("XDG_RUNTIME_DIR", "/run/user/0")) / "podman/podman.sock"
    for path in (Path("/var/run/docker.sock"), Path("/run/podman/podman.sock"), own):
        if path.exists():
            return f"unix://{path}"
    return "unix:///var/run/docker.sock"


class DockerRuntime:
    """Containers of one owner on one engine; safe for many threads."""

    name = "docker"

    def __init__(self, owner: labels.Owner, resolving: ResolvingOf = as_the_runtime_likes) -> None:
        self._owner = owner
        self._resolving = resolving
        self._url = socket_url()
        self._api = docker_client.client(self._url, timeout=CALL_SECONDS, pools=POOL_SIZE)
        self._images: dict[str, float] = {}
        self._meters = DockerMeters(self._api)
        self._locks = [threading.Lock() for _ in range(LOCKS)]
        self._can_init = any(shutil.which(name) for name in ("docker-init", "catatonit"))

    def close(self) -> None:
        """Let go of the connections to the engine."""
        self._api.close()

    def check(self) -> tuple[str, ...]:
        """Return what this engine lacks.

        Raises:
            RuntimeFailure: it does not answer.
        """
        self._call(self._api.ping)
        if self._can_init:
            return ()
        return ("there is no init process for containers (docker-init); zombies are not reaped",)

    def bridge_address(self) -> str:
        """Return this node's address on the engine's own bridge; empty when it has none."""
        return gateway_of(self._call(self._api.inspect_network, BRIDGE))

    def list(self) -> tuple[ContainerInfo, ...]:
        """Return every container of this owner: one call, and one more for each that has ended."""
        filters = {"label": [*self._own_labels()]}
        rows = self._call(self._api.containers, all=True, filters=filters)
        found = (
            container_from_row(row) if row["State"] == "running" else self.inspect(row["Id"])
            for row in rows
        )
        return tuple(info for info in found if info is not None)

    def inspect(self, name: str) -> ContainerInfo | None:
        """Return one container of this owner."""
        try:
            body = self._call(self._api.inspect_container, name)
        except RuntimeFailure as failure:
            if failure.reason is FailureReason.NOT_FOUND:
                return None
            raise
        found = body["Config"]["Labels"] or {}
        return container_from_inspection(body) if labels.is_ours(self._owner, found) else None

    def pull(self, container: ContainerSpec, on_progress: ProgressCallback) -> None:
        """Make the image present as its policy asks."""
        image, policy = container.image, container.pull_policy
        if policy is not PullPolicy.ALWAYS and self._has_image(image):
            return
        if policy is PullPolicy.NEVER:
            raise RuntimeFailure(
                FailureReason.IMAGE_NEVER_PULL,
                f"image {image} is not on this node and imagePullPolicy is Never",
            )
        try:
            self._pull(image, on_progress)
        except RuntimeFailure:
            # As a person expects of a registry that is away: what is here already will do.
            if policy is not PullPolicy.ALWAYS or not self._has_image(image):
                raise
            on_progress(f"image {image} could not be refreshed; the one on this node is used")
        self._images[image] = time.monotonic()

    def start(self, replica: ReplicaSpec) -> ContainerInfo:
        """Create and start the container: two calls when nothing is in the way, and one look."""
        name = labels.container_name(replica.uid, replica.epoch)
        with self._lock_of(name):
            return self._start(name, replica)

    def _start(self, name: str, replica: ReplicaSpec) -> ContainerInfo:
        try:
            self._create(name, replica)
        except RuntimeFailure as failure:
            if failure.reason is not FailureReason.NAME_TAKEN:
                self._images.pop(replica.container.image, None)
                raise
            existing = self._settle_conflict(name, replica)
            if existing is not None:
                return existing
        try:
            self._call(self._api.start, name)
        except RuntimeFailure:
            self.remove(name)
            raise
        info = self.inspect(name)
        if info is None:
            raise RuntimeFailure(FailureReason.NOT_FOUND, f"{name} vanished while it was started")
        return info

    def stop(self, name: str, grace_seconds: int) -> None:
        """Send the image's stop signal, wait, kill."""
        try:
            # The SDK adds the grace to the call's own time limit.
            self._call(self._api.stop, name, timeout=grace_seconds)
        except RuntimeFailure as failure:
            if failure.reason is not FailureReason.NOT_FOUND:
                raise

    def remove(self, name: str) -> None:
        """Remove the container and its anonymous volumes."""
        try:
            self._call(self._api.remove_container, name, force=True, v=True)
        except RuntimeFailure as failure:
            if failure.reason not in {FailureReason.NOT_FOUND, FailureReason.NAME_TAKEN}:
                raise

    def update(self, name: str, resources: Resources) -> str:
        """Change limits in place."""
        memory = resources.memory_limit_bytes or NO_LIMIT_MEMORY
        body: dict[str, Any] = {
            "NanoCpus": (resources.cpu_limit_millis or 0) * 1_000_000,
            "CpuShares": _shares(resources),
            "Memory": memory or -1,
            "MemorySwap": memory or -1,
        }
        url = self._api._url("/containers/{0}/update", name)  # noqa: SLF001, no NanoCpus in the SDK
        self._call(lambda: self._raise_for(self._api._post_json(url, data=body)))  # noqa: SLF001
        return ""

    def logs(
        self, name: str, *, tail: int | None, follow: bool, stop: threading.Event
    ) -> Iterator[LogLine]:
        """Yield lines with the engine's time stamps."""
        try:
            stream = self._api.logs(
                name,
                stream=True,
                follow=follow,
                timestamps=True,
                tail="all" if tail is None else tail,
            )
            with docker_events.released(stream, stop if follow else None):
                yield from lines_of(stream, stop)
        except NotFound:
            return
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            if not stop.is_set():
                raise failure_of(error, f"reading the log of {name}") from error

    def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        timeout_seconds: float,
        *,
        take: OutputCallback = ignore_output,
        stop: threading.Event | None = None,
    ) -> ExecResult:
        """Run a command inside."""
        collector = Collector(timeout_seconds, take, stop)
        return Command.create(self._api, name, argv).run(collector, timeout_seconds)

    def usages(self, names: Sequence[str]) -> Mapping[str, Usage]:
        """Return what containers have used."""
        return self._meters.read(names)

    def events(self, stop: threading.Event) -> Iterator[RuntimeEvent]:
        """Yield the engine's own events about our containers, as they happen."""
        filters = {
            "type": "container",
            "label": [*self._own_labels()],
            "event": [*docker_events.KINDS],
        }
        client = docker_client.client(self._url, timeout=None)
        try:
            stream = client.events(decode=True, filters=filters)
            with docker_events.released(stream, stop):
                yield RuntimeEvent(kind=EventKind.RESYNC)
                yield from map(docker_events.read, stream)
        except (DockerException, requests.RequestException, OSError, ValueError) as error:
            if not stop.is_set():
                raise failure_of(error, "listening to the engine") from error
        finally:
            client.close()
        if not stop.is_set():
            raise RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine closed the event stream")

    def _lock_of(self, name: str) -> threading.Lock:
        """Return a lock that many names may share: two starts of one name must not interleave."""
        return self._locks[hash(name) % LOCKS]

    def _own_labels(self) -> tuple[str, ...]:
        return (f"{labels.CLUSTER}={self._owner.cluster}", f"{labels.NODE}={self._owner.node}")

    def _has_image(self, image: str) -> bool:
        """Tell whether the image is here; a recent answer is trusted, as create would notice."""
        if time.monotonic() - self._images.get(image, -KNOWN_IMAGE_SECONDS) < KNOWN_IMAGE_SECONDS:
            return True
        try:
            self._call(self._api.inspect_image, image)
        except RuntimeFailure as failure:
            if failure.reason in {FailureReason.NOT_FOUND, FailureReason.IMAGE_NOT_FOUND}:
                return False
            raise
        self._images[image] = time.monotonic()
        return True

    def _pull(self, image: str, on_progress: ProgressCallback) -> None:
        repository, tag = split_image(image)
        progress = Progress(image, on_progress)
        try:
            for line in self._api.pull(repository, tag=tag, stream=True, decode=True):
                if "error" in line:
                    raise pull_failure(image, str(line["error"]))
                progress.take(line)
        except (APIError, ImageNotFound) as error:
            # The answer to a streamed call is not read to its end, so nothing else lets go of it.
            if error.response is not None:
                error.response.close()
            raise pull_failure(image, str(error.explanation or error)) from error
        except (DockerException, requests.RequestException, OSError) as error:
            raise failure_of(error, f"pulling {image}") from error

    def _create(self, name: str, replica: ReplicaSpec) -> None:
        container = replica.container
        config: dict[str, Any] = {
            "Image": container.image,
            "Env": _environment(self._owner, replica),
            "Labels": labels.labels_for(self._owner, replica),
            "Hostname": f"{replica.deployment}-{replica.slot}"[:63],
            "ExposedPorts": {_port_key(p): {} for p in container.ports},
            "HostConfig": self._host_config(container)
            | resolving_options(self._resolving(replica.namespace)),
        }
        if container.command:
            config["Entrypoint"] = list(container.command)
            config["Cmd"] = list(container.args)
        elif container.args:
            config["Cmd"] = list(container.args)
        if container.working_dir:
            config["WorkingDir"] = container.working_dir
        self._call(self._api.create_container_from_config, config, name)

    def _host_config(self, container: ContainerSpec) -> dict[str, Any]:
        resources = container.resources
        memory = resources.memory_limit_bytes or NO_LIMIT_MEMORY
        return {
            "NanoCpus": (resources.cpu_limit_millis or 0) * 1_000_000,
            "CpuShares": _shares(resources),
            "Memory": memory,
            "MemorySwap": memory,
            "PidsLimit": PIDS_LIMIT,
            "Init": self._can_init,
            "SecurityOpt": ["no-new-privileges:true"],
            "CapDrop": ["ALL"],
            "CapAdd": CAPABILITIES,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            "RestartPolicy": {"Name": "no"},
            "PortBindings": {
                _port_key(port): [{"HostPort": str(port.host_port)}]
                for port in container.ports
                if port.host_port
            },
        }

    def _settle_conflict(self, name: str, replica: ReplicaSpec) -> ContainerInfo | None:
        """The name is taken: return what runs under it, or make room for a new one."""
        existing = self.inspect(name)
        if existing is not None and existing.state is ContainerState.RUNNING:
            return existing
        if existing is None or existing.state is ContainerState.EXITED:
            self.remove(name)
            self._create(name, replica)
        return None

    def _call(self, call: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return call(*arguments, **options)
        except (DockerException, requests.RequestException, OSError) as error:
            raise failure_of(error, getattr(call, "__name__", "calling the engine")) from error

    def _raise_for(self, response: Any) -> None:
        self._api._raise_for_status(response)  # noqa: SLF001, as above


def _environment(owner: labels.Owner, replica: ReplicaSpec) -> list[str]:
    numbers = (port.container_port for port in replica.container.ports)
    return [f"{key}={value}" for key, value in variables(replica, owner.node, numbers).items()]


def _port_key(port: Any) -> str:
    return f"{port.container_port}/{port.protocol.lower()}"


def _shares(resources: Resources) -> int:
    """Return Docker's relative weight: 1024 for a whole core, at least 2; 0 is the default."""
    request = resources.cpu_request_millis
    return 0 if request is None else max(2, request * 1024 // 1000)

"""From a revision's pod template to what a node is told: the only place that knows both forms."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.core.spec import Resources
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Replica
from worker import protocol

Json = Mapping[str, Any]


def new_uid() -> str:
    """Return a fresh identifier for a row that people and nodes refer to (12 hex digits)."""
    return uuid.uuid4().hex[:12]


def start_payload(
    uid: str, *, replica: Replica, variables: Sequence[tuple[str, str]] = ()
) -> dict[str, object]:
    """Return the wire form of the job that assigns a replica to its node.

    `variables` name the services it can reach; what its own manifest says wins.
    """
    spec = replica_spec(replica, variables)
    return protocol.to_wire(protocol.StartJob(uid=protocol.JobUid(uid), replica=spec))


def stop_payload(uid: str, *, replica: Replica, grace_seconds: int) -> dict[str, object]:
    """Return the wire form of the job that takes a replica back."""
    return protocol.to_wire(
        protocol.StopJob(
            uid=protocol.JobUid(uid),
            replica=protocol.ReplicaUid(replica.uid),
            epoch=replica.epoch,
            grace_seconds=grace_seconds,
        )
    )


def update_payload(uid: str, *, replica: Replica, resources: Resources) -> dict[str, object]:
    """Return the wire form of the job that changes limits in place."""
    return protocol.to_wire(
        protocol.UpdateJob(
            uid=protocol.JobUid(uid),
            replica=protocol.ReplicaUid(replica.uid),
            epoch=replica.epoch,
            resources=_resources(resources),
        )
    )


def retry_payload(uid: str, *, replica: Replica) -> dict[str, object]:
    """Return the wire form of the job that forgets a replica's back-off."""
    return protocol.to_wire(
        protocol.RetryJob(
            uid=protocol.JobUid(uid),
            replica=protocol.ReplicaUid(replica.uid),
            epoch=replica.epoch,
        )
    )


def grace_seconds(template: Json) -> int:
    """Return how long a replica of this template may take to stop."""
    return int(template["spec"]["terminationGracePeriodSeconds"])


def replica_spec(
    replica: Replica, variables: Sequence[tuple[str, str]] = ()
) -> protocol.ReplicaSpec:
    """Return everything a node needs to keep one replica running."""
    deployment, revision = replica.deployment, replica.revision
    pod = revision.template["spec"]
    links = variables if pod.get("enableServiceLinks", True) else ()
    labels = revision.template.get("metadata", {}).get("labels") or {}
    return protocol.ReplicaSpec(
        uid=protocol.ReplicaUid(replica.uid),
        epoch=replica.epoch,
        namespace=deployment.namespace_id,
        deployment=deployment.name,
        revision=revision.number,
        slot=replica.slot,
        runtime_class=pod.get("runtimeClassName") or "",
        grace_seconds=grace_seconds(revision.template),
        labels=tuple(sorted(labels.items())),
        containers=tuple(_container(container, links) for container in pod["containers"]),
    )


def _container(container: Json, links: Sequence[tuple[str, str]]) -> protocol.ContainerSpec:
    own = {item["name"]: item.get("value") or "" for item in container.get("env") or ()}
    ports = tuple(_port(port) for port in container.get("ports") or ())
    return protocol.ContainerSpec(
        name=container["name"],
        image=container["image"],
        command=tuple(container.get("command") or ()),
        args=tuple(container.get("args") or ()),
        env=tuple({**dict(links), **own}.items()),
        working_dir=container.get("workingDir") or "",
        ports=ports,
        resources=_resources(manifests.container_resources(container)),
        pull_policy=protocol.PullPolicy(container["imagePullPolicy"]),
        startup_probe=_probe(container.get("startupProbe"), ports),
        readiness_probe=_probe(container.get("readinessProbe"), ports),
        liveness_probe=_probe(container.get("livenessProbe"), ports),
    )


def _port(port: Json) -> protocol.Port:
    return protocol.Port(
        container_port=port["containerPort"],
        host_port=port.get("hostPort") or None,
        protocol=port.get("protocol") or "TCP",
        name=port.get("name") or "",
    )


def _resources(resources: Resources) -> protocol.Resources:
    return protocol.Resources(**asdict(resources))


def _probe(probe: Json | None, ports: tuple[protocol.Port, ...]) -> protocol.Probe | None:
    if not probe:
        return None
    timing: dict[str, Any] = {
        "initial_delay_seconds": probe["initialDelaySeconds"],
        "period_seconds": probe["periodSeconds"],
        "timeout_seconds": probe["timeoutSeconds"],
        "success_threshold": probe["successThreshold"],
        "failure_threshold": probe["failureThreshold"],
        "termination_grace_seconds": probe.get("terminationGracePeriodSeconds"),
    }
    if "exec" in probe:
        command = tuple(probe["exec"]["command"])
        return protocol.Probe(kind=protocol.ProbeKind.EXEC, command=command, **timing)
    if "tcpSocket" in probe:
        socket = probe["tcpSocket"]
        port, host = _port_number(socket["port"], ports), socket.get("host") or ""
        return protocol.Probe(kind=protocol.ProbeKind.TCP, port=port, host=host, **timing)
    http = probe["httpGet"]
    return protocol.Probe(
        kind=protocol.ProbeKind.HTTP,
        path=http.get("path") or "/",
        port=_port_number(http["port"], ports),
        host=http.get("host") or "",
        scheme=http.get("scheme") or "HTTP",
        headers=tuple((item["name"], item["value"]) for item in http.get("httpHeaders") or ()),
        **timing,
    )


def _port_number(port: int | str, ports: tuple[protocol.Port, ...]) -> int:
    """Return a port given by number or by the name of one of the container's ports."""
    if isinstance(port, int):
        return port
    return next(candidate.container_port for candidate in ports if candidate.name == port)

"""How one node worker is set up, read from the environment once."""

from __future__ import annotations

import ipaddress
import math
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.identity import Identity

RELEASE = "0.1.0"
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule")
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Settings of a node worker; `start_threads` bounds container starts at once.

    Without `gateway` the node runs replicas and routes nothing. `address` is where other nodes
    reach it; without one it is the address this machine speaks from. Without HTTP ports they are
    chosen. `acme` is the directory that automatic certificates come from; without one they are
    signed by an authority of this node.
    """

    node: str
    cluster: str
    home: Path
    runtime: str = "auto"
    labels: tuple[tuple[str, str], ...] = ()
    taints: tuple[tuple[str, str, str], ...] = ()
    redis_url: str = DEFAULT_BROKER
    start_threads: int = 8
    report_seconds: float = 10.0
    metrics_seconds: float = 5.0
    gateway: bool = False
    address: str = ""
    http_port: int = 0
    https_port: int = 0
    acme: str = ""
    acme_email: str = ""

    @property
    def state_dir(self) -> Path:
        """Return the folder of this node's own state."""
        return self.home / "nodes" / self.node

    @classmethod
    def from_env(
        cls,
        env: Mapping[str, str] = os.environ,
        *,
        node: str = "",
        identity: Identity | None = None,
    ) -> WorkerConfig:
        """Return the settings the environment asks for; what the identity knows comes from there.

        Raises:
            ValueError: a variable makes no sense; the sentence names it and says what to write.
        """
        runtime = env.get("KIJABI_RUNTIME", "auto")
        if runtime not in {"auto", "docker", "sandbox"}:
            raise ValueError(f"KIJABI_RUNTIME is {runtime!r}; use docker, sandbox or auto")
        gateway = env.get("KIJABI_GATEWAY", "on")
        if gateway not in {"on", "off"}:
            raise ValueError(f"KIJABI_GATEWAY is {gateway!r}; use on or off")
        home = home_of(env)
        return cls(
            node=node or name_of(env),
            cluster=identity.cluster if identity else _cluster(env, home),
            home=home,
            runtime=runtime,
            labels=_labels(env.get("KIJABI_NODE_LABELS", "")),
            taints=_taints(env.get("KIJABI_NODE_TAINTS", "")),
            redis_url=identity.broker if identity else DEFAULT_BROKER,
            start_threads=int(_number(env, "KIJABI_START_THREADS", 8, least=1)),
            report_seconds=_number(env, "KIJABI_REPORT_SECONDS", 10, least=0.1),
            metrics_seconds=_number(env, "KIJABI_METRICS_SECONDS", 5, least=1, most=15),
            gateway=gateway == "on",
            address=_address(env.get("KIJABI_NODE_ADDRESS", "")),
            http_port=int(_number(env, "KIJABI_HTTP_PORT", 0, least=0)),
            https_port=int(_number(env, "KIJABI_HTTPS_PORT", 0, least=0)),
            acme=env.get("KIJABI_ACME_DIRECTORY", ""),
            acme_email=env.get("KIJABI_ACME_EMAIL", ""),
        )


def home_of(env: Mapping[str, str]) -> Path:
    """Return the state folder."""
    return Path(env.get("KIJABI_HOME", ".kijabi")).resolve()


def name_of(env: Mapping[str, str]) -> str:
    """Return this node's name."""
    return env.get("KIJABI_NODE") or socket.gethostname().split(".")[0].lower()


def _cluster(env: Mapping[str, str], home: Path) -> str:
    return env.get("KIJABI_CLUSTER") or (home / "cluster-id").read_text().strip()


def _number(
    env: Mapping[str, str], name: str, default: float, *, least: float, most: float = math.inf
) -> float:
    text = env.get(name) or str(default)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most or number == math.inf:
        bound = "" if most == math.inf else f" and at most {most:g}"
        raise ValueError(f"{name} is {text!r}; write a number of at least {least:g}{bound}")
    return number


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise ValueError(
            f"KIJABI_NODE_ADDRESS is {text!r}; write the IP address other nodes reach this one at"
        ) from None


def _taints(text: str) -> tuple[tuple[str, str, str], ...]:
    taints = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        mark, _, effect = item.rpartition(":")
        key, _, value = mark.partition("=")
        if not key or effect not in TAINT_EFFECTS:
            raise ValueError(
                f"KIJABI_NODE_TAINTS has {item!r}; write key=value:Effect,key:Effect "
                f"with an effect of {' or '.join(TAINT_EFFECTS)}"
            )
        taints.append((key, value, effect))
    return tuple(taints)


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ValueError(f"KIJABI_NODE_LABELS has {item!r}; write key=value,key=value")
        pairs.append((key, value))
    return tuple(pairs)

"""How one node worker is set up, read from the environment once."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RELEASE = "0.1.0"
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """Settings of a node worker; `start_threads` bounds container starts at once."""

    node: str
    cluster: str
    home: Path
    runtime: str = "auto"
    labels: tuple[tuple[str, str], ...] = ()
    redis_url: str = DEFAULT_BROKER
    start_threads: int = 8
    report_seconds: float = 10.0

    @property
    def state_dir(self) -> Path:
        """Return the folder of this node's own state."""
        return self.home / "nodes" / self.node

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> WorkerConfig:
        """Return the settings the environment asks for.

        Raises:
            ValueError: KIJABI_RUNTIME or KIJABI_NODE_LABELS make no sense.
        """
        runtime = env.get("KIJABI_RUNTIME", "auto")
        if runtime not in {"auto", "docker", "sandbox"}:
            raise ValueError(f"KIJABI_RUNTIME is {runtime!r}; use docker, sandbox or auto")
        home = Path(env.get("KIJABI_HOME", ".kijabi")).resolve()
        return cls(
            node=env.get("KIJABI_NODE") or socket.gethostname().split(".")[0].lower(),
            cluster=env.get("KIJABI_CLUSTER") or (home / "cluster-id").read_text().strip(),
            home=home,
            runtime=runtime,
            labels=_labels(env.get("KIJABI_NODE_LABELS", "")),
            redis_url=env.get("REDIS_URL", DEFAULT_BROKER),
            start_threads=int(env.get("KIJABI_START_THREADS", "8")),
            report_seconds=float(env.get("KIJABI_REPORT_SECONDS", "10")),
        )


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    pairs = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise ValueError(f"KIJABI_NODE_LABELS has {item!r}; write key=value,key=value")
        pairs.append((key, value))
    return tuple(pairs)

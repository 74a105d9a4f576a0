"""Wait until a rollout is complete, as `kubectl rollout status` does, and say what it waits for."""

from __future__ import annotations

import sys
import time
from typing import Any

from orchestrator.cli.client import Client

PERIOD_SECONDS = 0.2


def wait(client: Client, namespace: str, name: str, generation: int, timeout: float) -> int:
    """Return 0 when complete; 1 when it failed, was superseded or took too long.

    `generation` is the one to wait for (0: whichever there is now).
    """
    path = f"namespaces/{namespace}/deployments/{name}/"
    deadline = time.monotonic() + timeout
    said = ""
    while time.monotonic() < deadline:
        row = client.call("GET", path)
        generation = generation or row["generation"]
        verdict = _verdict(row, generation)
        if verdict is not None:
            text, status = verdict
            _say(name, text)
            return status
        message = row["status"]["message"]
        if message != said:
            _say(name, message)
            said = message
        time.sleep(PERIOD_SECONDS)
    _say(name, f"not complete after {timeout:.0f} s; it goes on without us")
    return 1


def _verdict(row: dict[str, Any], generation: int) -> tuple[str, int] | None:
    if row["generation"] > generation:
        return f"superseded: it is now at revision {row['status']['revision']}", 1
    if row["observed_generation"] < generation:
        return None
    phase = row["status"]["phase"]
    if phase == "Failed":
        return f"failed: {row['status']['message']}", 1
    if phase == "Available":
        return row["status"]["message"], 0
    if phase == "Paused":
        return row["status"]["message"], 1
    return None


def _say(name: str, text: str) -> None:
    sys.stdout.write(f"deployment/{name}: {text}\n")
    sys.stdout.flush()

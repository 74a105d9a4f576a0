"""How a run ended: what is kept of it, and how it is said to a person."""

from __future__ import annotations

import threading

from worker.protocol import LatestDeath
from worker.runtimes.base import ContainerInfo, ContainerRuntime, FailureReason, RuntimeFailure

LOG_LINES = 200
LOG_BYTES = 64 * 1024
WITH_ENGINE = "it was restarted because the container engine had ended"


def look_back(runtime: ContainerRuntime, info: ContainerInfo, *, now: float) -> LatestDeath:
    """Return what is to be kept of a container that has ended: its code and its last lines.

    Raises:
        RuntimeFailure: the engine is away. Any other trouble with the log must not keep the
            replica from its restart, and is told in place of the log.
    """
    try:
        lines = runtime.logs(info.name, tail=LOG_LINES, follow=False, stop=threading.Event())
        text = "\n".join(line.text for line in lines)
    except RuntimeFailure as failure:
        if failure.reason is FailureReason.ENGINE_DOWN:
            raise
        text = f"(its log could not be read: {failure})"
    return LatestDeath(
        finished_at=info.finished_at or now,
        exit_code=info.exit_code,
        oom_killed=info.oom_killed,
        log_tail=_last_bytes(text),
    )


def explain(info: ContainerInfo, *, with_engine: bool = False) -> tuple[str, str]:
    """Return the fixed word and the sentence for an end nobody here asked for.

    `with_engine` says that the container engine itself ended at about that time.
    """
    code = info.exit_code
    if with_engine:
        return "EngineRestarted", WITH_ENGINE
    if info.oom_killed:
        return "OOMKilled", "it used more memory than its limit"
    if code == 0:
        return "Completed", "it exited with 0, but is to be kept running"
    if code in {126, 127}:
        sentence = f"it exited with {code}: check command and args; the log says more"
        return "CommandNotFound", sentence
    if code is not None and code > 128:
        return "Error", f"it was ended by signal {code - 128}"
    return "Error", f"it exited with {code}"


def _last_bytes(text: str) -> str:
    """Return the end of a text, at most LOG_BYTES when encoded."""
    return text.encode(errors="replace")[-LOG_BYTES:].decode(errors="ignore")

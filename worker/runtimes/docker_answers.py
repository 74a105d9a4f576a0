"""What the engine's answers mean: containers, log lines, the progress of a pull."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from worker import labels
from worker.runtimes.base import ContainerInfo, ContainerState, LogLine, ProgressCallback

PROGRESS_SECONDS = 0.5
_NEVER = "0001-01-01T00:00:00Z"


class Progress:
    """Turns the engine's pull lines into one short sentence now and then."""

    def __init__(self, image: str, tell: ProgressCallback) -> None:
        self._image = image
        self._tell = tell
        self._layers: dict[str, tuple[int, int]] = {}
        self._told_at = 0.0

    def take(self, line: dict[str, Any]) -> None:
        """Take one line of the engine's account of a pull."""
        detail = line.get("progressDetail") or {}
        if "total" in detail and line.get("status") == "Downloading":
            self._layers[line.get("id", "")] = (detail.get("current", 0), detail["total"])
        now = time.monotonic()
        if now - self._told_at < PROGRESS_SECONDS:
            return
        self._told_at = now
        done = sum(current for current, _ in self._layers.values()) / 1e6
        total = sum(size for _, size in self._layers.values()) / 1e6
        self._tell(f"pulling {self._image}: {done:.1f} of {total:.1f} MB")


def split_image(image: str) -> tuple[str, str | None]:
    """Return repository and tag as a pull wants them; a digest stays with the name."""
    if "@" in image:
        return image, None
    head, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        return image, "latest"
    return head, tag


def lines_of(stream: Any, stop: threading.Event) -> Iterator[LogLine]:
    """Yield the lines of a log stream, whatever pieces it comes in."""
    rest = b""
    for chunk in stream:
        if stop.is_set():
            return
        *complete, rest = (rest + chunk).split(b"\n")
        for raw in complete:
            yield _line(raw)
    if rest:
        yield _line(rest)


def _line(raw: bytes) -> LogLine:
    stamp, space, text = raw.decode(errors="replace").partition(" ")
    at = _seconds(stamp) if space else None
    return LogLine(
        text=text.rstrip("\r") if at is not None else raw.decode(errors="replace"), at=at
    )


def _seconds(stamp: str) -> float | None:
    """Return an engine time stamp (nanoseconds, Z) as seconds since the epoch."""
    if not stamp or stamp == _NEVER:
        return None
    head, _, fraction = stamp.rstrip("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{head}.{(fraction or '0')[:6]:0<6}+00:00").timestamp()
    except ValueError:
        return None


def container_from_inspection(body: dict[str, Any]) -> ContainerInfo:
    """Return a container from what `inspect` answers."""
    state, found = body["State"], body["Config"]["Labels"]
    running = state["Running"]
    created = state["Status"] == "created"
    status = ContainerState.CREATED if created else ContainerState.EXITED
    ports = body["Config"].get("ExposedPorts") or {}
    return ContainerInfo(
        id=body["Id"],
        name=body["Name"].lstrip("/"),
        replica=found[labels.REPLICA],
        epoch=int(found[labels.EPOCH]),
        state=ContainerState.RUNNING if running else status,
        exit_code=None if running or created else state["ExitCode"],
        oom_killed=bool(state.get("OOMKilled")),
        started_at=_seconds(state["StartedAt"]),
        finished_at=None if running else _seconds(state["FinishedAt"]),
        address=_address(body["NetworkSettings"].get("Networks") or {}),
        ports=tuple(sorted((int(key.split("/")[0]),) * 2 for key in ports)),
    )


def container_from_row(row: dict[str, Any]) -> ContainerInfo:
    """Return a running container from its row in a list."""
    found = row["Labels"]
    return ContainerInfo(
        id=row["Id"],
        name=row["Names"][0].lstrip("/"),
        replica=found[labels.REPLICA],
        epoch=int(found[labels.EPOCH]),
        state=ContainerState.RUNNING,
        started_at=float(row["Created"]),
        address=_address((row.get("NetworkSettings") or {}).get("Networks") or {}),
        ports=tuple(sorted({(p["PrivatePort"],) * 2 for p in row.get("Ports") or ()})),
    )


def _address(networks: dict[str, Any]) -> str:
    addresses = [network.get("IPAddress") or "" for network in networks.values()]
    return next((address for address in addresses if address), "127.0.0.1")

"""Health checks: how each kind asks, and what a row of answers means (Kubernetes' rules)."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass

from worker.protocol import Probe, ProbeKind
from worker.runtimes.base import ContainerInfo, ExecResult, RuntimeFailure

QUICK_SECONDS = 0.05
STATUS_LINE_BYTES = 8192
Execute = Callable[[tuple[str, ...], float], ExecResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one check found; `message` says why it failed.

    `healthy` is None when the question could not be put (the engine is away, say): as in
    Kubernetes that says nothing about the container, and must not get it killed.
    """

    healthy: bool | None
    message: str = ""


def check(probe: Probe, info: ContainerInfo, execute: Execute) -> Answer:
    """Ask once; never longer than the probe's time limit, never an exception."""
    try:
        if probe.kind is ProbeKind.EXEC:
            return _check_exec(probe, execute)
        host = probe.host or info.address or "127.0.0.1"
        port = probe.port if probe.host else dict(info.ports).get(probe.port, probe.port)
        if probe.kind is ProbeKind.TCP:
            socket.create_connection((host, port), probe.timeout_seconds).close()
            return Answer(healthy=True)
        return _check_http(probe, host, port)
    except RuntimeFailure as failure:
        return Answer(healthy=None, message=f"{probe.kind} check could not be made: {failure}")
    except (OSError, http.client.HTTPException) as error:
        return Answer(healthy=False, message=f"{probe.kind} check failed: {error}")
    except ValueError as error:
        return Answer(healthy=False, message=f"{probe.kind} check could not be made: {error}")


def _check_exec(probe: Probe, execute: Execute) -> Answer:
    result = execute(probe.command, probe.timeout_seconds)
    if result.exit_code == 0:
        return Answer(healthy=True)
    output = result.output.strip()[-200:]
    return Answer(healthy=False, message=f"the command exited with {result.exit_code}: {output}")


def _check_http(probe: Probe, host: str, port: int) -> Answer:
    connection: http.client.HTTPConnection
    deadline = time.monotonic() + probe.timeout_seconds
    if probe.scheme == "HTTPS":
        # As in Kubernetes, a probe does not verify certificates: it asks about life, not identity.
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection = http.client.HTTPSConnection(
            host, port, timeout=probe.timeout_seconds, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, port, timeout=probe.timeout_seconds)
    try:
        headers = {"User-Agent": "kijabi-probe", "Connection": "close", **dict(probe.headers)}
        connection.request("GET", probe.path, headers=headers)
        status = _read_status(connection.sock, deadline)
    finally:
        connection.close()
    if 200 <= status < 400:
        return Answer(healthy=True)
    return Answer(healthy=False, message=f"GET {probe.path} answered {status}")


def _read_status(connection: socket.socket, deadline: float) -> int:
    """Return the status code. Nothing else of an answer counts, however slowly it trickles in.

    `http.client` would start its time limit anew with every byte, and a drip would hold the thread.
    """
    line = b""
    while b"\n" not in line:
        left = deadline - time.monotonic()
        if left <= 0 or len(line) > STATUS_LINE_BYTES:
            raise TimeoutError("timed out")
        connection.settimeout(left)
        more = connection.recv(1024)
        if not more:
            raise http.client.RemoteDisconnected("it closed the connection without an answer")
        line += more
    words = line.split(b"\n", 1)[0].split()
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
        raise http.client.BadStatusLine(line[:80].decode(errors="replace"))
    return int(words[1])


class ProbeTrack:
    """The course of one probe of one running container. Times are monotonic seconds.

    Until its first success a probe that gates something (startup, readiness) is tried in quick
    succession, so that nobody waits a whole period; such tries count as failures at most once a
    period.
    """

    def __init__(
        self, probe: Probe, *, now: float, quick: bool, began_at: float | None = None
    ) -> None:
        self.probe = probe
        self.passing: bool | None = None
        self.message = ""
        self.in_flight = False
        # The delay counts from the container's start, not from ours.
        began_at = now if began_at is None else began_at
        self.next_at = max(now, began_at + probe.initial_delay_seconds)
        self._quick = quick
        self._wait = QUICK_SECONDS
        self._successes = 0
        self._failures = 0
        self._counted_at = self.next_at

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to ask."""
        return not self.in_flight and now >= self.next_at

    def record(self, answer: Answer, now: float) -> None:
        """Take one answer: thresholds decide when `passing` turns."""
        if answer.healthy is None:
            self.message = answer.message
            self.postpone(now)
            return
        self.in_flight = False
        if answer.healthy:
            self._record_success(now)
        else:
            self._record_failure(answer.message, now)

    def postpone(self, now: float) -> None:
        """Ask again after a period, as if not asked: the answer is unknown."""
        self.in_flight = False
        self.next_at = now + self.probe.period_seconds

    def _record_success(self, now: float) -> None:
        self._failures = 0
        self._successes += 1
        self.next_at = now + self.probe.period_seconds
        if self._successes >= self.probe.success_threshold:
            self.passing, self.message, self._quick = True, "", False
        elif self._quick:
            self.next_at = now + QUICK_SECONDS

    def _record_failure(self, message: str, now: float) -> None:
        self._successes = 0
        self.message = message
        self.next_at = now + self.probe.period_seconds
        if self._quick:
            self.next_at = now + min(self._wait, self.probe.period_seconds)
            self._wait *= 2
            if now < self._counted_at + self.probe.period_seconds:
                return
        self._counted_at = now
        self._failures += 1
        if self._failures >= self.probe.failure_threshold:
            self.passing = False

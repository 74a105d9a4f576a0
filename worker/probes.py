"""Health checks: how each kind asks, and what a row of answers means (Kubernetes' rules)."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from worker.protocol import Probe, ProbeKind
from worker.runtimes.base import ContainerInfo, ExecResult, RuntimeFailure

QUICK_SECONDS = 0.05
Execute = Callable[[tuple[str, ...], float], ExecResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one check found; `message` says why it failed."""

    healthy: bool
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
    except (OSError, http.client.HTTPException) as error:
        return Answer(healthy=False, message=f"{probe.kind} check failed: {error}")
    except (RuntimeFailure, ValueError) as error:
        return Answer(healthy=False, message=f"{probe.kind} check could not be made: {error}")


def _check_exec(probe: Probe, execute: Execute) -> Answer:
    result = execute(probe.command, probe.timeout_seconds)
    if result.exit_code == 0:
        return Answer(healthy=True)
    output = result.output.strip()[-200:]
    return Answer(healthy=False, message=f"the command exited with {result.exit_code}: {output}")


def _check_http(probe: Probe, host: str, port: int) -> Answer:
    connection: http.client.HTTPConnection
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
        status = connection.getresponse().status
    finally:
        connection.close()
    if 200 <= status < 400:
        return Answer(healthy=True)
    return Answer(healthy=False, message=f"GET {probe.path} answered {status}")


class ProbeTrack:
    """The course of one probe of one running container. Times are monotonic seconds.

    Until its first success a probe that gates something (startup, readiness) is tried in quick
    succession, so that nobody waits a whole period; such tries count as failures at most once a
    period.
    """

    def __init__(self, probe: Probe, *, now: float, quick: bool) -> None:
        self.probe = probe
        self.passing: bool | None = None
        self.message = ""
        self.in_flight = False
        self.next_at = now + probe.initial_delay_seconds
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
        self.in_flight = False
        if answer.healthy:
            self._record_success(now)
        else:
            self._record_failure(answer.message, now)

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

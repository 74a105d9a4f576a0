"""Measure what replicas and the node use, and tell it: one message each period, never repeated.

A thread of its own, as an engine that hangs must hold up nothing else. What is told are rates over
the period; a container seen for the first time, or started anew, has none yet.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from worker import node_usage
from worker.measured import Measured, MeasuredReplica, MeasuredRequests, MetricsReport
from worker.protocol import ReplicaUid, to_wire
from worker.running import Running
from worker.runtimes.base import ContainerRuntime, RuntimeFailure
from worker.runtimes.usage import Usage

logger = logging.getLogger(__name__)

NODE = ""


class Replicas(Protocol):
    """Who runs here, and in which runtimes (the agent)."""

    @property
    def runtimes(self) -> Mapping[str, ContainerRuntime]:
        """Return the runtimes by name."""

    def running(self) -> list[Running]:
        """Return the replicas that run."""


class Sampler:
    """Samples one node; `send` returns whether the broker took the report.

    `requests` returns what the node's gateway counted in the seconds since it was last asked.
    """

    def __init__(
        self,
        node: str,
        boot: int,
        replicas: Replicas,
        send: Callable[[dict[str, object]], bool],
        *,
        seconds: float,
        requests: Callable[[float], MeasuredRequests | None] = lambda _seconds: None,
    ) -> None:
        self._node = node
        self._boot = boot
        self._replicas = replicas
        self._send = send
        self._seconds = seconds
        self._requests = requests
        self._sequences = itertools.count(1)
        self._stop = threading.Event()
        self._silent: set[str] = set()
        # The counters of the look before, and when that was (monotonic).
        self._before: dict[str, Usage] = {}
        self._before_at: float | None = None

    def start(self) -> None:
        """Sample from a thread of its own."""
        threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def close(self) -> None:
        """Stop sampling."""
        self._stop.set()

    def sample(self, *, monotonic: float, now: float) -> MetricsReport | None:
        """Look once; return what was used since the look before, None at the first."""
        running = self._replicas.running()
        after = {NODE: node_usage.read(), **self._usages(running)}
        before, before_at = self._before, self._before_at
        self._before, self._before_at = after, monotonic
        seconds = monotonic - before_at if before_at is not None else 0.0
        # Asked at the first look, too: what was before it is of no period.
        requests = self._requests(seconds if seconds > 0 else self._seconds)
        if seconds <= 0:
            return None
        return MetricsReport(
            node=self._node,
            boot=self._boot,
            sequence=next(self._sequences),
            sent_at=now,
            seconds=round(seconds, 3),
            used=_measured(before.get(NODE), after[NODE], seconds),
            replicas=tuple(
                MeasuredReplica(
                    uid=ReplicaUid(one.uid),
                    used=_measured(before.get(one.container), after[one.container], seconds),
                    restarts=one.restarts,
                )
                for one in running
                if one.container in after
            ),
            requests=requests,
        )

    def _usages(self, running: list[Running]) -> dict[str, Usage]:
        found: dict[str, Usage] = {}
        for name, runtime in self._replicas.runtimes.items():
            names = [one.container for one in running if one.runtime == name]
            try:
                found.update(runtime.usages(names))
                self._silent.discard(name)
            except RuntimeFailure as failure:
                # Said once: the agent tells of an engine that is away, too.
                if name not in self._silent:
                    logger.warning("Replicas in %s cannot be measured: %s", name, failure)
                self._silent.add(name)
        return found

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + self._seconds, time.monotonic())
            try:
                report = self.sample(monotonic=time.monotonic(), now=time.time())
                if report is not None:
                    self._send(to_wire(report))
            except Exception:
                # Without this thread nothing here would be measured again.
                logger.exception("The node could not be measured")


def _measured(before: Usage | None, after: Usage, seconds: float) -> Measured:
    if before is None or before.run != after.run:
        return Measured(memory_bytes=after.memory_bytes)
    cpu = _rate(before.cpu_nanoseconds, after.cpu_nanoseconds, seconds)
    return Measured(
        cpu_millis=None if cpu is None else round(cpu / 1_000_000),
        memory_bytes=after.memory_bytes,
        received_per_second=_whole(_rate(before.received_bytes, after.received_bytes, seconds)),
        sent_per_second=_whole(_rate(before.sent_bytes, after.sent_bytes, seconds)),
    )


def _rate(before: int | None, after: int | None, seconds: float) -> float | None:
    """Return how fast a counter grew; None where there is none, or it began anew."""
    if before is None or after is None or after < before:
        return None
    return (after - before) / seconds


def _whole(rate: float | None) -> int | None:
    return None if rate is None else round(rate)

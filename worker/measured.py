"""What a node measured: what it and its replicas used, and the requests that its gateway saw."""

from __future__ import annotations

from dataclasses import dataclass

from worker.protocol import ReplicaUid
from worker.wire import VERSION

# Upper ends, in milliseconds, of the groups that times of answering are counted in (those of
# Prometheus' client libraries); one more group takes what was slower.
LATENCY_BOUNDS_MILLIS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredService:
    """Requests for one service (`namespace/name`) that were answered in the period.

    `classes` counts answers by their first digit, 1 to 5; `failed` those that the gateway had to
    answer itself as no replica could; `latencies` has one count for each group of times.
    `in_flight_millis` is how many were under way on average, in thousandths.
    """

    service: str
    classes: tuple[int, ...]
    latencies: tuple[int, ...]
    failed: int = 0
    in_flight_millis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredTarget:
    """Requests that one replica, of this node or another, answered through this gateway."""

    uid: ReplicaUid
    requests: int = 0
    in_flight_millis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRequests:
    """All of one period; what had no request is left out."""

    services: tuple[MeasuredService, ...] = ()
    replicas: tuple[MeasuredTarget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was used over a period: on average of cpu and network, at its end of memory.

    None means not known: the first look at a container, or one without a network of its own.
    """

    cpu_millis: int | None = None
    memory_bytes: int | None = None
    received_per_second: int | None = None
    sent_per_second: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredReplica:
    """What one running replica used, and how often it was restarted in its life."""

    uid: ReplicaUid
    used: Measured
    restarts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport:
    """What a node and its replicas used in the `seconds` that ended at `sent_at`.

    `requests` is None where no gateway counts them. (`boot`, `sequence`) orders the reports of
    metrics of a node among themselves. One that is lost is not sent again.
    """

    node: str
    boot: int
    sequence: int
    sent_at: float
    seconds: float
    used: Measured
    replicas: tuple[MeasuredReplica, ...] = ()
    requests: MeasuredRequests | None = None
    version: int = VERSION

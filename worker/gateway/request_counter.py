"""Count the requests that pass the HTTP gateway of this node, by service and by replica.

How many are under way is the larger of two: those that Caddy has at the moment, and what the time
of all answers makes on average (Little's law), which also sees what was short and in between.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from worker.gateway.access_log import AccessLog, Answered
from worker.gateway.end_names import end_of
from worker.gateway.live import LiveService
from worker.gateway.rotation import View
from worker.gateway.upstreams import name_of
from worker.measured import (
    LATENCY_BOUNDS_MILLIS,
    MeasuredRequests,
    MeasuredService,
    MeasuredTarget,
)
from worker.protocol import ReplicaUid
from worker.routes import IngressRoutes

End = tuple[str, int]
_SECONDS = tuple(bound / 1000 for bound in LATENCY_BOUNDS_MILLIS)


@dataclass(slots=True)
class _Sum:
    classes: list[int] = field(default_factory=lambda: [0] * 5)
    latencies: list[int] = field(default_factory=lambda: [0] * (len(_SECONDS) + 1))
    failed: int = 0
    busy_seconds: float = 0.0


class RequestCounter:
    """Counts; `under_way` returns how many requests each end has now, as Caddy says."""

    def __init__(self, log: AccessLog, under_way: Callable[[], Mapping[End, int]]) -> None:
        self._log = log
        self._under_way = under_way
        self._lock = threading.Lock()
        self._view = View()
        self._services: dict[str, str] = {}
        self._replicas: dict[End, str] = {}

    def know(self, view: View) -> None:
        """Take in which service each route is of, and which replica listens where."""
        with self._lock:
            if view.ingresses is not self._view.ingresses:
                self._services = _services_of(view.ingresses.values())
            for name, service in view.services.items():
                if self._view.services.get(name) is not service:
                    self._replicas |= _replicas_of([service])
            self._view = view

    def close(self) -> None:
        """Let go of the log."""
        self._log.close()

    def take(self, seconds: float) -> MeasuredRequests:
        """Return what was counted since the last call, `seconds` ago."""
        with self._lock:
            sums: dict[str, _Sum] = {}
            answers: Counter[str] = Counter()
            busy: Counter[str] = Counter()
            for entry in self._log.read():
                service = self._services.get(entry.route)
                if service is None:
                    continue
                _add(sums.setdefault(service, _Sum()), entry, seconds)
                if (uid := self._replicas.get(end_of(entry.end))) is not None:
                    answers[uid] += 1
                    busy[uid] += _millis(min(entry.seconds, seconds) / seconds)
            now = self._now()
            # Who has left could be named by lines until here.
            self._replicas = _replicas_of(self._view.services.values())
        return MeasuredRequests(
            services=tuple(_service(name, one, seconds) for name, one in sorted(sums.items())),
            replicas=tuple(
                MeasuredTarget(
                    uid=ReplicaUid(uid),
                    requests=answers[uid],
                    in_flight_millis=max(busy[uid], now[uid] * 1000),
                )
                for uid in sorted({*answers, *now})
            ),
        )

    def _now(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for end, number in self._under_way().items():
            if number > 0 and (uid := self._replicas.get(end)) is not None:
                found[uid] += number
        return found


def _add(into: _Sum, entry: Answered, seconds: float) -> None:
    if 1 <= entry.status // 100 <= 5:
        into.classes[entry.status // 100 - 1] += 1
    into.latencies[bisect_left(_SECONDS, entry.seconds)] += 1
    into.failed += entry.failed
    # One that took longer was under way for the whole period, and no longer than that in it.
    into.busy_seconds += min(entry.seconds, seconds)


def _service(name: str, one: _Sum, seconds: float) -> MeasuredService:
    return MeasuredService(
        service=name,
        classes=tuple(one.classes),
        latencies=tuple(one.latencies),
        failed=one.failed,
        in_flight_millis=_millis(one.busy_seconds / seconds),
    )


def _millis(value: float) -> int:
    return round(value * 1000)


def _services_of(ingresses: Iterable[IngressRoutes]) -> dict[str, str]:
    return {
        name_of(ingress, route): f"{ingress.namespace}/{route.service}"
        for ingress in ingresses
        for route in ingress.routes
    }


def _replicas_of(services: Iterable[LiveService]) -> dict[End, str]:
    return {
        (target.address, target.port): target.replica
        for service in services
        for port in service.ports
        for target in (*port.draining, *port.targets)
    }

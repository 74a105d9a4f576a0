"""`/metrics` in Prometheus' text format: the control plane and the workloads, read when asked.

It needs a token (or a login) like every other address, unless KIJABI_METRICS_OPEN is 1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import redis
from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from prometheus_client import CollectorRegistry, exposition
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from orchestrator.api.views import ApiView
from orchestrator.core import requests
from orchestrator.operations import access, statistics
from orchestrator.operations.accounts import Role
from orchestrator.queries import figures
from orchestrator.queries.figures import Figures

logger = logging.getLogger(__name__)

# Of what is used: the name of the figure, its help, and what one unit of it is.
_USED = {
    "cpu_millis": ("cpu_usage_cores", "Cores used now", 1000),
    "memory_bytes": ("memory_working_set_bytes", "Memory used now", 1),
    "received_per_second": ("network_receive_bytes_per_second", "Bytes received a second", 1),
    "sent_per_second": ("network_transmit_bytes_per_second", "Bytes sent a second", 1),
}


class _Viewer(BasePermission):
    """Asks for a role; the table of addresses is that of the API."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Tell whether the request may be answered."""
        del view
        return settings.METRICS_OPEN or access.may(request.user, Role.VIEWER)


class Exposition(ApiView):
    """Everything there is to scrape."""

    permission_classes = [_Viewer]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Return the figures of this moment, in the format the reader prefers."""
        encode, kind = exposition.choose_encoder(request.headers.get("Accept", ""))
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collector())
        return HttpResponse(encode(registry), content_type=kind)


class _Collector:
    """Reads everything once."""

    def collect(self) -> Iterable[Metric]:
        """Yield every figure."""
        known = figures.load(timezone.now())
        yield from _deployments(known)
        yield from _jobs(known)
        yield from _others(known)
        yield from _services(known)
        yield from _broker(sorted(known.nodes))


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kijabi_{name}", text, labels=labels)


def _deployments(known: Figures) -> Iterator[Metric]:
    counts = _gauge("deployment_replicas", "Replicas", "namespace", "deployment", "kind")
    rollout = _gauge(
        "deployment_rollout", "State of its rollout", "namespace", "deployment", "state"
    )
    phase = _gauge("deployment_phase", "Its phase", "namespace", "deployment", "phase")
    for one in known.deployments:
        for kind, number in one.counts.items():
            counts.add_metric([*one.name, kind], number)
        rollout.add_metric([*one.name, one.rollout], 1)
        phase.add_metric([*one.name, one.phase], 1)
    yield from (counts, rollout, phase)
    pairs = [(one.name, one.used) for one in known.deployments]
    yield from _used("deployment", ("namespace", "deployment"), pairs)


def _used(
    subject: str,
    labels: tuple[str, ...],
    pairs: Iterable[tuple[tuple[str, ...], Mapping[str, Any]]],
) -> Iterator[Metric]:
    every = list(pairs)
    for field, (name, text, unit) in _USED.items():
        family = _gauge(f"{subject}_{name}", text, *labels)
        for values, used in every:
            if used.get(field) is not None:
                family.add_metric(list(values), used[field] / unit)
        yield family


def _jobs(known: Figures) -> Iterator[Metric]:
    number = _gauge("jobs_open", "Jobs not done yet", "operation", "state")
    oldest = _gauge("job_oldest_seconds", "Age of the oldest of them", "operation", "state")
    for job in known.jobs:
        number.add_metric([job.operation, job.state], job.number)
        oldest.add_metric([job.operation, job.state], job.oldest_seconds)
    yield from (number, oldest)


def _others(known: Figures) -> Iterator[Metric]:
    replicas = _gauge("replicas", "Replicas by phase", "phase")
    for phase, number in known.replicas.items():
        replicas.add_metric([phase], number)
    nodes = _gauge("node_state", "What is believed of a node", "node", "state")
    for name, (state, _) in known.nodes.items():
        nodes.add_metric([name, state], 1)
    bounds = _gauge("autoscaler_bound", "Bounds", "namespace", "autoscaler", "deployment", "bound")
    for namespace, name, target, least, most in known.autoscalers:
        bounds.add_metric([namespace, name, target, "minimum"], least)
        bounds.add_metric([namespace, name, target, "maximum"], most)
    yield from (replicas, nodes, bounds)
    yield from _used("node", ("node",), [((n,), used) for n, (_, used) in known.nodes.items()])


def _services(known: Figures) -> Iterator[Metric]:
    """Yield the requests that came by an Ingress, all gateways together."""
    rate = _gauge("service_requests_per_second", "Requests", "namespace", "service", "code")
    failed = _gauge(
        "service_failed_requests_per_second",
        "Requests that a gateway had to answer as no replica could",
        "namespace",
        "service",
    )
    busy = _gauge("service_requests_in_flight", "Requests under way", "namespace", "service")
    for name, served in known.services.items():
        for code, number in zip(requests.CLASSES, served.classes, strict=True):
            rate.add_metric([*name, code], number / 1000)
        failed.add_metric([*name], served.failed / 1000)
        busy.add_metric([*name], served.in_flight_millis / 1000)
    yield from (rate, failed, busy)


def _broker(nodes: list[str]) -> Iterator[Metric]:
    """Yield what the broker knows; while it is away, only that."""
    up = _gauge("broker_up", "Whether the broker answers")
    try:
        depths, counted = statistics.read(nodes)
    except (redis.RedisError, OSError) as error:
        logger.info("The broker does not answer for /metrics: %s", error)
        up.add_metric([], 0)
        yield up
        return
    up.add_metric([], 1)
    depth = _gauge("queue_messages", "Messages that wait", "queue")
    for queue, number in depths.items():
        depth.add_metric([queue], number)
    actions = CounterMetricFamily("kijabi_actions", "What passes did, by reason", labels=["reason"])
    for reason, number in sorted(counted.actions.items()):
        actions.add_metric([reason], number)
    passes = HistogramMetricFamily("kijabi_reconcile_seconds", "How long passes take")
    passes.add_metric([], counted.buckets, counted.seconds)
    yield from (up, depth, actions, passes)

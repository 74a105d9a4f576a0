"""Read what was measured: series of a deployment, a replica, a node or a service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import TypeVar

from orchestrator.core import requests, samples
from orchestrator.core.autoscaling.observation import NO_GATEWAY
from orchestrator.core.requests import Load, Served
from orchestrator.core.samples import TIERS, Block, Sample
from orchestrator.models import Deployment, Replica
from orchestrator.queries import kept_blocks as kept
from orchestrator.queries.kept_blocks import FINEST_SECONDS, Span
from worker.measured import LATENCY_BOUNDS_MILLIS

__all__ = [
    "FINEST_SECONDS",
    "NO_GATEWAY",
    "Point",
    "ServicePoint",
    "Span",
    "Tally",
    "of_deployment",
    "of_node",
    "of_replica",
    "of_service",
    "tally",
]
MOST_POINTS = 500
LONGEST = timedelta(seconds=TIERS[-1].kept_seconds)
LONGEST_PERIOD = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What was used on average in the time that ended `at`; None: nobody measured it.

    `replicas` is how many were measured, on average rounded up; the limits are their sum. Requests
    are in thousandths, and None where no gateway counted any; those of a node are not kept.
    """

    at: datetime
    replicas: int
    cpu_millis: int | None
    memory_bytes: int | None
    received_per_second: int | None
    sent_per_second: int | None
    restarts: int | None
    cpu_limit_millis: int | None
    memory_limit_bytes: int | None
    requests_per_second_millis: int | None = None
    requests_in_flight_millis: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePoint:
    """The requests for a service until `at`, all gateways together: rates in thousandths a second.

    `classes` are those by the first digit of the answer, 1 to 5; `failed` those that a gateway had
    to answer as no replica could. The times, in milliseconds, are those that half, nine and 99 of a
    hundred requests took at most; None without requests.
    """

    at: datetime
    per_second_millis: int
    classes: tuple[int, ...]
    failed: int
    in_flight_millis: int
    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many requests gateways counted, and how many of them failed at the gateways themselves.

    Rounded, and too few by what came in the latest seconds: nodes tell it every five to ten.
    """

    requests: int
    failed: int


Picked = list[Sample]
Found = TypeVar("Found")
Buckets = dict[datetime, dict[str, list[Found]]]
NOTHING: Block = {requests.PART: requests.part({}, {})}


def of_node(name: str, span: Span) -> list[Point]:
    """Return what a node used."""
    blocks = kept.read(kept.of_nodes([name]), span)
    return _series(span, blocks, lambda block: [samples.node_of(block)])


def of_replica(uid: str, span: Span) -> list[Point] | None:
    """Return what a replica used, None when it was never heard of."""
    owner = Replica.objects.filter(uid=uid).values_list("deployment_id", flat=True).first()
    if owner is None:
        return None

    def pick(block: Block) -> Picked:
        found = samples.replicas_of(block).get(uid)
        return [found[1]] if found is not None else []

    def load(block: Block) -> Load:
        found = requests.replicas_of(block).get(uid)
        return found[1] if found is not None else Load()

    return _series(span, kept.read(kept.about([owner]), span), pick, load)


def of_deployment(namespace: str, name: str, span: Span) -> list[Point] | None:
    """Return what all replicas of a deployment used together, None when there is none."""
    pk = Deployment.objects.filter(namespace_id=namespace, name=name).values_list("pk").first()
    if pk is None:
        return None

    def pick(block: Block) -> Picked:
        return [one for owner, one in samples.replicas_of(block).values() if owner == pk[0]]

    def load(block: Block) -> Load:
        mine = (one for owner, one in requests.replicas_of(block).values() if owner == pk[0])
        return sum(mine, Load())

    return _series(span, kept.read(kept.about(pk), span), pick, load)


def of_service(namespace: str, name: str, span: Span) -> list[ServicePoint]:
    """Return the requests for a service: empty where no gateway counted."""
    key = f"{namespace}/{name}"
    found: Buckets[Block] = defaultdict(lambda: defaultdict(list))
    for node, at, block in kept.read(kept.about([key]), span):
        if requests.is_counted(block):
            found[samples.end_of_period(at, span.seconds)][node].append(block)
    nodes = {node for by_node in found.values() for node in by_node}
    points = []
    for at, looks in _complete(span, kept.looks(span, nodes or kept.gateways(span))):
        # Blocks that do not speak of the service were not read: nothing came then.
        filled = [
            [*blocks, *[NOTHING] * (looks[node] - len(blocks))]
            for node, blocks in found[at].items()
        ]
        points.append(_service_point(at, key, filled))
    return points


def tally(names: Collection[str], begin: datetime, end: datetime) -> Tally | None:
    """Return the requests for services (`namespace/name`) in some time, all gateways together.

    None where nobody counted. 2 queries, a few more where none came.
    """
    span = Span.latest(end, end - begin)
    longest = max(FINEST_SECONDS, *kept.tiers(span))
    span = replace(span, begin=begin - timedelta(seconds=longest))
    blocks = list(kept.read(kept.about(names), span))
    if not blocks:
        return Tally(requests=0, failed=0) if kept.gateways(span) else None
    before = kept.before(span, {node for node, _, _ in blocks})
    requests_millis, failed_millis = 0.0, 0.0
    for node, at, block in blocks:
        since = max(begin, before.get((node, at), at - LONGEST_PERIOD))
        seconds = max(0.0, min(longest, (at - since).total_seconds()))
        for name, served in requests.services_of(block).items():
            if name in names:
                requests_millis += served.per_second_millis * seconds
                failed_millis += served.failed * seconds
    return Tally(requests=round(requests_millis / 1000), failed=ceil(round(failed_millis) / 1000))


def _series(
    span: Span,
    blocks: Iterable[tuple[str, datetime, Block]],
    pick: Callable[[Block], Picked],
    load: Callable[[Block], Load] | None = None,
) -> list[Point]:
    """Return the points of a span: the mean over time of what was used at once, node by node."""
    buckets: Buckets[Picked] = defaultdict(lambda: defaultdict(list))
    loads: Buckets[Load] = defaultdict(lambda: defaultdict(list))
    for node, at, block in blocks:
        end = samples.end_of_period(at, span.seconds)
        picked = pick(block)
        if picked:
            buckets[end][node].append(picked)
        if load is not None and requests.is_counted(block):
            loads[end][node].append(load(block))
    looks = _looks(span, buckets, loads) if load is not None else {}
    return [
        _point(at, by_node.values(), _requests(loads[at], looks.get(at, {})))
        for at, by_node in _complete(span, buckets)
    ]


def _looks(
    span: Span, buckets: Buckets[Picked], loads: Buckets[Load]
) -> Mapping[datetime, Mapping[str, int]]:
    """Return how often gateways counted in each period: those with requests, else a few others."""
    if not buckets:
        return {}
    nodes = {node for by_node in loads.values() for node in by_node} or kept.gateways(span)
    return kept.looks(span, nodes) if nodes else {}


def _complete(span: Span, buckets: Mapping[datetime, Found]) -> Iterator[tuple[datetime, Found]]:
    """Yield the periods in order, but for one just begun: some nodes have not spoken in it yet."""
    latest = span.end + timedelta(seconds=span.seconds - FINEST_SECONDS)
    yield from ((at, found) for at, found in sorted(buckets.items()) if at <= latest)


def _point(at: datetime, nodes: Iterable[list[Picked]], requested: dict[str, int]) -> Point:
    """Return one point: per node the mean of its looks, then the sum over nodes."""
    means = []
    count = 0.0
    for looks in nodes:
        means.append(samples.mean([samples.total(look) for look in looks]))
        count += sum(len(look) for look in looks) / len(looks)
    values = dict(zip(samples.FIELDS, samples.total(means), strict=True))
    return Point(at=at, replicas=-int(-count // 1), **values, **requested)


def _requests(loads: Mapping[str, list[Load]], looks: Mapping[str, int]) -> dict[str, int]:
    """Return the sum over gateways of the means of each; nothing where nobody counted.

    Where a look has no load nothing came.
    """
    if not looks:
        return {}
    means = [(sum(every, Load()), max(looks[node], len(every))) for node, every in loads.items()]
    return {
        "requests_per_second_millis": sum(one.per_second_millis // n for one, n in means),
        "requests_in_flight_millis": sum(one.in_flight_millis // n for one, n in means),
    }


def _service_point(at: datetime, key: str, gateways: Iterable[list[Block]]) -> ServicePoint:
    means = [found for blocks in gateways if (found := _mean(key, blocks)) is not None]
    served = requests.total(means) or Served(
        classes=(0,) * len(requests.CLASSES), failed=0, in_flight_millis=0, times=()
    )
    quantile = partial(requests.quantile, served.times, LATENCY_BOUNDS_MILLIS)
    return ServicePoint(
        at=at,
        per_second_millis=served.per_second_millis,
        classes=served.classes,
        failed=served.failed,
        in_flight_millis=served.in_flight_millis,
        p50=quantile(0.5),
        p90=quantile(0.9),
        p99=quantile(0.99),
    )


def _mean(key: str, blocks: list[Block]) -> Served | None:
    kept = requests.thinned(blocks)
    return requests.service_of({requests.PART: kept}, key) if kept is not None else None

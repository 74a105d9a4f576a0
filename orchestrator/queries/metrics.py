"""Read what was measured: series of a deployment, a replica, a node or a service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import TypeVar

from orchestrator.core import requests, samples
from orchestrator.core.autoscaling.observation import NO_GATEWAY
from orchestrator.core.requests import Load, Served
from orchestrator.core.samples import TIERS, Block, Sample
from orchestrator.models import Deployment, MetricBlock, Replica
from worker.measured import LATENCY_BOUNDS_MILLIS

__all__ = [
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
# Nodes measure every five to ten seconds, each in its own time: in a shorter period of the sum
# over several nodes some would be missing.
FINEST_SECONDS = 15
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
class Span:
    """Which time, and how densely."""

    begin: datetime
    end: datetime
    seconds: int

    @classmethod
    def latest(cls, now: datetime, length: timedelta, seconds: int | None = None) -> Span:
        """Return the time until now; by default about a hundred points."""
        fitting = max(FINEST_SECONDS, int(length.total_seconds()) // 100)
        return cls(begin=now - length, end=now, seconds=seconds or fitting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many requests gateways counted, and how many of them failed at the gateways themselves.

    Rounded, and too few by what came in the latest seconds: nodes tell it every five to ten.
    """

    requests: int
    failed: int


Picked = list[Sample]
Found = TypeVar("Found")


def of_node(name: str, span: Span) -> list[Point]:
    """Return what a node used."""
    return _series(span, lambda block: [samples.node_of(block)], nodes=[name])


def of_replica(uid: str, span: Span) -> list[Point] | None:
    """Return what a replica used, None when it was never heard of."""
    row = Replica.objects.filter(uid=uid).values_list("node_id", flat=True).first()
    if row is None and not Replica.objects.filter(uid=uid).exists():
        return None

    def pick(block: Block) -> Picked:
        found = samples.replicas_of(block).get(uid)
        return [found[1]] if found is not None else []

    def load(block: Block) -> Load:
        found = requests.replicas_of(block).get(uid)
        return found[1] if found is not None else Load()

    return _series(span, pick, load)


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

    return _series(span, pick, load)


def of_service(namespace: str, name: str, span: Span) -> list[ServicePoint]:
    """Return the requests for a service: empty where no gateway counted."""
    key = f"{namespace}/{name}"
    buckets: dict[datetime, dict[str, list[Block]]] = defaultdict(lambda: defaultdict(list))
    for node, at, block in _blocks(span, None):
        if requests.is_counted(block):
            buckets[samples.end_of_period(at, span.seconds)][node].append(block)
    return [_service_point(at, key, by_node.values()) for at, by_node in _complete(span, buckets)]


def tally(names: Collection[str], begin: datetime, end: datetime) -> Tally | None:
    """Return the requests for services (`namespace/name`) in some time, all gateways together.

    None where nobody counted. One query.
    """
    span = Span.latest(end, end - begin)
    longest = max(FINEST_SECONDS, *_tiers(span))
    span = replace(span, begin=begin - timedelta(seconds=longest))
    before: dict[str, datetime] = {}
    requests_millis, failed_millis = 0.0, 0.0
    counted = False
    for node, at, block in _blocks(span, None):
        since = max(begin, before.get(node, at - LONGEST_PERIOD))
        seconds = min(longest, (at - since).total_seconds())
        before[node] = at
        if seconds <= 0 or not requests.is_counted(block):
            continue
        counted = True
        for name, served in requests.services_of(block).items():
            if name in names:
                requests_millis += served.per_second_millis * seconds
                failed_millis += served.failed * seconds
    if not counted:
        return None
    return Tally(requests=round(requests_millis / 1000), failed=ceil(round(failed_millis) / 1000))


def _series(
    span: Span,
    pick: Callable[[Block], Picked],
    load: Callable[[Block], Load] | None = None,
    *,
    nodes: Sequence[str] | None = None,
) -> list[Point]:
    """Return the points of a span: the mean over time of what was used at once, node by node."""
    buckets: dict[datetime, dict[str, list[Picked]]] = defaultdict(lambda: defaultdict(list))
    loads: dict[datetime, dict[str, list[Load]]] = defaultdict(lambda: defaultdict(list))
    for node, at, block in _blocks(span, nodes):
        end = samples.end_of_period(at, span.seconds)
        picked = pick(block)
        if picked:
            buckets[end][node].append(picked)
        if load is not None and requests.is_counted(block):
            loads[end][node].append(load(block))
    return [
        _point(at, by_node.values(), loads[at].values()) for at, by_node in _complete(span, buckets)
    ]


def _complete(span: Span, buckets: Mapping[datetime, Found]) -> Iterator[tuple[datetime, Found]]:
    """Yield the periods in order, but for one just begun: some nodes have not spoken in it yet."""
    latest = span.end + timedelta(seconds=span.seconds - FINEST_SECONDS)
    yield from ((at, found) for at, found in sorted(buckets.items()) if at <= latest)


def _blocks(span: Span, nodes: Sequence[str] | None) -> Iterable[tuple[str, datetime, Block]]:
    """Yield what is kept of a span: the densest tier that reaches back so far, then denser ones."""
    rows = MetricBlock.objects.filter(at__gt=span.begin, at__lte=span.end)
    if nodes is not None:
        rows = rows.filter(node__in=nodes)
    by_tier: dict[int, list[tuple[str, datetime, Block]]] = defaultdict(list)
    found = rows.filter(seconds__in=_tiers(span)).order_by("at")
    for tier, *kept in found.values_list("seconds", "node", "at", "samples"):
        by_tier[tier].append((kept[0], kept[1], kept[2]))
    until: dict[str, datetime] = {}
    for tier in sorted(by_tier, reverse=True):
        reached = dict(until)
        for node, at, block in by_tier[tier]:
            if at > until.get(node, span.begin):
                reached[node] = at
                yield node, at, block
        until = reached


def _tiers(span: Span) -> list[int]:
    """Return the tiers to read."""
    age = (span.end - span.begin).total_seconds()
    reaching = next((tier for tier in TIERS if tier.kept_seconds >= age), TIERS[-1])
    fitting = [tier.seconds for tier in TIERS if tier.seconds <= span.seconds]
    first = max([reaching.seconds, *fitting])
    return [tier.seconds for tier in TIERS if tier.seconds <= first]


def _point(at: datetime, nodes: Iterable[list[Picked]], loads: Iterable[list[Load]] = ()) -> Point:
    """Return one point: per node the mean of its looks, then the sum over nodes."""
    means = []
    count = 0.0
    for looks in nodes:
        means.append(samples.mean([samples.total(look) for look in looks]))
        count += sum(len(look) for look in looks) / len(looks)
    values = dict(zip(samples.FIELDS, samples.total(means), strict=True))
    return Point(at=at, replicas=-int(-count // 1), **values, **_requests(list(loads)))


def _requests(loads: list[list[Load]]) -> dict[str, int]:
    """Return the sum over gateways of the means of each; nothing where nobody counted."""
    if not loads:
        return {}
    means = [(sum(looks, Load()), len(looks)) for looks in loads]
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

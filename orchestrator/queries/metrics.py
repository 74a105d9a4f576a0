"""Read what was measured: series of a deployment, a replica or a node, and the latest values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core import samples
from orchestrator.core.autoscaling.observation import NO_GATEWAY
from orchestrator.core.samples import TIERS, Block, Sample
from orchestrator.models import Deployment, MetricBlock, Replica

__all__ = ["NO_GATEWAY", "Point", "Span", "of_deployment", "of_node", "of_replica"]
MOST_POINTS = 500
LONGEST = timedelta(seconds=TIERS[-1].kept_seconds)
# Nodes measure every five to ten seconds, each in its own time: in a shorter period of the sum
# over several nodes some would be missing.
FINEST_SECONDS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What was used on average in the time that ended `at`; None: nobody measured it.

    `replicas` is how many were measured, on average rounded up; the limits are their sum.
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


Picked = list[Sample]


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

    return _series(span, pick, nodes=[str(row)])


def of_deployment(namespace: str, name: str, span: Span) -> list[Point] | None:
    """Return what all replicas of a deployment used together, None when there is none."""
    pk = Deployment.objects.filter(namespace_id=namespace, name=name).values_list("pk").first()
    if pk is None:
        return None

    def pick(block: Block) -> Picked:
        return [one for owner, one in samples.replicas_of(block).values() if owner == pk[0]]

    return _series(span, pick)


def _series(
    span: Span, pick: Callable[[Block], Picked], *, nodes: Sequence[str] | None = None
) -> list[Point]:
    """Return the points of a span: the mean over time of what was used at once, node by node."""
    buckets: dict[datetime, dict[str, list[Picked]]] = defaultdict(lambda: defaultdict(list))
    for node, at, block in _blocks(span, nodes):
        picked = pick(block)
        if picked:
            buckets[samples.end_of_period(at, span.seconds)][node].append(picked)
    # In a period that has only just begun some nodes have not spoken yet.
    latest = span.end + timedelta(seconds=span.seconds - FINEST_SECONDS)
    return [_point(at, by_node.values()) for at, by_node in sorted(buckets.items()) if at <= latest]


def _blocks(span: Span, nodes: Sequence[str] | None) -> Iterable[tuple[str, datetime, Block]]:
    """Yield what is kept of a span: the densest tier that reaches back so far, then denser ones."""
    rows = MetricBlock.objects.filter(at__gt=span.begin, at__lte=span.end)
    if nodes is not None:
        rows = rows.filter(node__in=nodes)
    until: dict[str, datetime] = {}
    for tier in _tiers(span):
        found = rows.filter(seconds=tier).order_by("at").values_list("node", "at", "samples")
        reached = dict(until)
        for node, at, block in found:
            if at > until.get(node, span.begin):
                reached[node] = at
                yield node, at, block
        until = reached


def _tiers(span: Span) -> list[int]:
    """Return the tiers to read, coarsest first."""
    age = (span.end - span.begin).total_seconds()
    reaching = next((tier for tier in TIERS if tier.kept_seconds >= age), TIERS[-1])
    fitting = [tier.seconds for tier in TIERS if tier.seconds <= span.seconds]
    first = max([reaching.seconds, *fitting])
    return sorted((tier.seconds for tier in TIERS if tier.seconds <= first), reverse=True)


def _point(at: datetime, nodes: Iterable[list[Picked]]) -> Point:
    """Return one point: per node the mean of its looks, then the sum over nodes."""
    means = []
    count = 0.0
    for looks in nodes:
        means.append(samples.mean([samples.total(look) for look in looks]))
        count += sum(len(look) for look in looks) / len(looks)
    values = dict(zip(samples.FIELDS, samples.total(means), strict=True))
    return Point(at=at, replicas=-int(-count // 1), **values)

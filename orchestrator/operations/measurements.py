"""Keep what nodes measure: one row a report, thinned out with age, nothing after a day.

A node speaks about its own replicas only; lines about others are dropped and counted. The instant
of a block is ours: clocks of nodes may differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from django.db import transaction
from django.db.models import Max

from orchestrator.core import requests, samples
from orchestrator.core.samples import TIERS, Sample, Tier
from orchestrator.models import MetricBlock, Replica
from orchestrator.operations import mail
from worker import measured
from worker.envelope import Refused


def take(report: measured.MetricsReport, *, now: datetime) -> bool:
    """Keep a report; return whether it was kept: an old or hasty one is not."""
    raw = MetricBlock.objects.filter(node=report.node, seconds=0)
    latest = raw.order_by("-at").values_list("boot", "sequence", "at").first()
    if latest is not None:
        soonest = latest[2] + timedelta(seconds=samples.SHORTEST_PERIOD_SECONDS)
        if (report.boot, report.sequence) <= latest[:2] or now < soonest:
            return False
    block = samples.block(_sample(report.used), _own(report), _counted(report))
    # A report that is delivered twice at once is kept once.
    MetricBlock.objects.bulk_create(
        [
            MetricBlock(
                node=report.node,
                seconds=0,
                at=now,
                boot=report.boot,
                sequence=report.sequence,
                names=samples.names_of(block),
                samples=block,
            )
        ],
        ignore_conflicts=True,
    )
    return True


def roll_up(*, now: datetime) -> None:
    """Make each coarser tier from the one before it, and drop what each has kept long enough."""
    for finer, coarser in pairwise(TIERS):
        with transaction.atomic():
            MetricBlock.objects.bulk_create(
                _due(finer, coarser, now), batch_size=100, ignore_conflicts=True
            )
    for tier in TIERS:
        old = MetricBlock.objects.filter(
            seconds=tier.seconds, at__lt=now - timedelta(seconds=tier.kept_seconds)
        )
        # Without loading the rows, which Django would to look for cascades.
        old._raw_delete(old.db)  # noqa: SLF001, nothing refers to these rows


def _own(report: measured.MetricsReport) -> dict[str, tuple[int, Sample]]:
    measured = {str(one.uid): one for one in report.replicas}
    rows = Replica.objects.filter(uid__in=measured).values_list(
        "uid", "node_id", "deployment_id", "resources"
    )
    found: dict[str, tuple[int, Sample]] = {}
    for uid, node, deployment, resources in rows:
        if str(node) != report.node:
            told = f"node {report.node} measured replica {uid}, which is not its own"
            mail.refusals.note(Refused("foreign", told))
            continue
        one = measured[uid]
        limits = (resources.get("cpu_limit_millis"), resources.get("memory_limit_bytes"))
        found[uid] = (deployment, [*_sample(one.used), one.restarts, *limits])
    return found


def _counted(report: measured.MetricsReport) -> dict[str, object] | None:
    """Return what a node's gateway counted; replicas may be of any node, but must exist."""
    if report.requests is None:
        return None
    told = {str(one.uid): one for one in report.requests.replicas}
    rows = Replica.objects.filter(uid__in=told).values_list("uid", "deployment_id") if told else ()
    seconds = report.seconds
    return requests.part(
        {one.service: _served(one, seconds) for one in report.requests.services},
        {
            uid: (
                owner,
                requests.Load(
                    per_second_millis=_rate(told[uid].requests, seconds),
                    in_flight_millis=told[uid].in_flight_millis,
                ),
            )
            for uid, owner in rows
        },
    )


def _served(one: measured.MeasuredService, seconds: float) -> requests.Served:
    groups = len(measured.LATENCY_BOUNDS_MILLIS) + 1
    return requests.Served(
        classes=_rates(one.classes, len(requests.CLASSES), seconds),
        failed=_rate(one.failed, seconds),
        in_flight_millis=one.in_flight_millis,
        times=_rates(one.latencies, groups, seconds),
    )


def _rates(counts: tuple[int, ...], length: int, seconds: float) -> tuple[int, ...]:
    # Another release may count in more groups, or fewer.
    return tuple(_rate(number, seconds) for number in (*counts, *[0] * length)[:length])


def _rate(number: int, seconds: float) -> int:
    """Return how many thousandths a second."""
    return round(number * 1000 / seconds) if seconds > 0 else 0


def _sample(used: measured.Measured) -> list[int | None]:
    return [used.cpu_millis, used.memory_bytes, used.received_per_second, used.sent_per_second]


def _due(finer: Tier, coarser: Tier, now: datetime) -> Iterator[MetricBlock]:
    """Yield the blocks of a tier that are complete by now and not made yet, node by node."""
    oldest = now - timedelta(seconds=finer.kept_seconds)
    made = _latest(coarser)
    for node, latest in _latest(finer).items():
        since = max(oldest, made.get(node, oldest))
        if latest <= since:
            continue
        rows = MetricBlock.objects.filter(node=node, seconds=finer.seconds, at__gt=since)
        groups: dict[datetime, list[samples.Block]] = {}
        for at, block in rows.order_by("at").values_list("at", "samples"):
            end = samples.end_of_period(at, coarser.seconds)
            if end <= now:
                groups.setdefault(end, []).append(block)
        for end, blocks in groups.items():
            thinned = samples.thinned(blocks)
            names = samples.names_of(thinned)
            yield MetricBlock(
                node=node, seconds=coarser.seconds, at=end, names=names, samples=thinned
            )


def _latest(tier: Tier) -> dict[str, datetime]:
    rows = MetricBlock.objects.filter(seconds=tier.seconds).order_by()
    return dict(rows.values_list("node").annotate(Max("at")))

"""The latest that nodes measured: what counts as of now, and over which seconds it is averaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from orchestrator.core import samples
from orchestrator.core.samples import COUNTED, Block
from orchestrator.models import MetricBlock

# A node that has said nothing for so long says nothing any more.
FRESH = timedelta(seconds=30)
# What it said in the latest seconds is averaged: one look alone is noisy.
WINDOW = timedelta(seconds=10)
Value = TypeVar("Value")
Look = tuple[str, datetime, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The latest blocks that speak of some deployments, oldest first.

    `gateways` are all nodes that count requests, with how many of their latest blocks do, and
    `counted_at` is when one of them last spoke.
    """

    blocks: Sequence[Look[Block]] = ()
    gateways: Mapping[str, int] = field(default_factory=dict)
    counted_at: datetime | None = None


def latest(deployments: Collection[int], now: datetime) -> Looks:
    """Return what nodes said lately (2 queries): the samples only where they speak of these."""
    rows = MetricBlock.objects.filter(seconds=0, at__gt=now - FRESH, at__lte=now).order_by("at")
    told = rows.values_list("node", "at", "names", "pk")
    every = list(within_window([(node, at, (names, pk)) for node, at, names, pk in told]))
    marks = [samples.mark_of(pk) for pk in deployments]
    wanted = {
        pk: (node, at) for node, at, (names, pk) in every if any(mark in names for mark in marks)
    }
    read: dict[int, Any] = dict(
        MetricBlock.objects.filter(pk__in=wanted).values_list("pk", "samples") if wanted else ()
    )
    counted = [(node, at) for node, at, (names, _) in every if names.startswith(COUNTED)]
    return Looks(
        blocks=[(*wanted[pk], read[pk]) for pk in wanted if pk in read],
        gateways=Counter(node for node, _ in counted),
        counted_at=max((at for _, at in counted), default=None),
    )


def within_window(looks: Sequence[Look[Value]]) -> Iterator[Look[Value]]:
    """Yield the looks of each node that are no older than its window; given oldest first."""
    latest_of = {node: at for node, at, _ in looks}
    yield from ((node, at, value) for node, at, value in looks if at > latest_of[node] - WINDOW)

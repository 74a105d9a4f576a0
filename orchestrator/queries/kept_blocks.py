"""What is kept of nodes' measurements in some time: as few blocks as a question needs.

A block is a thousand values of many replicas, and hundreds of nodes have thousands of blocks. Each
says whom it speaks of (`samples.names_of`), so that only those are read that speak of who is asked.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q

from orchestrator.core import samples
from orchestrator.core.samples import COUNTED, TIERS, Block
from orchestrator.models import MetricBlock

# Nodes measure every five to ten seconds, each in its own time: in a shorter period of the sum
# over several nodes some would be missing.
FINEST_SECONDS = 15
# So many gateways are asked whether somebody counted where nothing came.
FEW = 3
_COUNTED = Q(names__startswith=COUNTED)


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


def of_nodes(names: Collection[str]) -> Q:
    """Return which blocks are of these nodes."""
    return Q(node__in=names)


def about(names: Iterable[int | str]) -> Q:
    """Return which blocks speak of one of these deployments (by key) or services."""
    nobody = Q(pk__in=[])
    return reduce(or_, (Q(names__contains=samples.mark_of(name)) for name in names), nobody)


def read(which: Q, span: Span) -> Iterator[tuple[str, datetime, Block]]:
    """Yield the blocks of a span (1 query)."""
    yield from _read(which, span, "samples")


def looks(span: Span, nodes: Collection[str]) -> dict[datetime, Counter[str]]:
    """Return how many blocks of these nodes count requests, by period (1 query)."""
    found: dict[datetime, Counter[str]] = defaultdict(Counter)
    for node, at, _ in _read(of_nodes(nodes) & _COUNTED, span, "pk"):
        found[samples.end_of_period(at, span.seconds)][node] += 1
    return found


def before(span: Span, nodes: Collection[str]) -> dict[tuple[str, datetime], datetime]:
    """Return of each block of these nodes when the one before it was (1 query)."""
    found: dict[tuple[str, datetime], datetime] = {}
    latest: dict[str, datetime] = {}
    for node, at, _ in _read(of_nodes(nodes), span, "pk"):
        if node in latest:
            found[node, at] = latest[node]
        latest[node] = at
    return found


def gateways(span: Span) -> set[str]:
    """Return a few nodes where requests were counted lately (1 query, or one for each tier)."""
    for seconds in reversed(tiers(span)):
        rows = MetricBlock.objects.filter(at__gt=span.begin, at__lte=span.end, seconds=seconds)
        latest = rows.filter(_COUNTED).order_by("-at", "node").values_list("node", flat=True)
        if found := set(latest[:FEW]):
            return found
    return set()


def tiers(span: Span) -> list[int]:
    """Return the tiers to read."""
    age = (span.end - span.begin).total_seconds()
    reaching = next((tier for tier in TIERS if tier.kept_seconds >= age), TIERS[-1])
    fitting = [tier.seconds for tier in TIERS if tier.seconds <= span.seconds]
    first = max([reaching.seconds, *fitting])
    return [tier.seconds for tier in TIERS if tier.seconds <= first]


def _rows(which: Q, span: Span) -> Any:
    rows = MetricBlock.objects.filter(at__gt=span.begin, at__lte=span.end)
    return rows.filter(which, seconds__in=tiers(span))


def _read(which: Q, span: Span, field: str) -> Iterator[tuple[str, datetime, Any]]:
    """Yield a field of what is kept: the densest tier that reaches back so far, then denser."""
    by_tier: dict[int, list[tuple[str, datetime, Any]]] = defaultdict(list)
    found = _rows(which, span).order_by("at")
    for tier, *told in found.values_list("seconds", "node", "at", field):
        by_tier[tier].append((told[0], told[1], told[2]))
    until: dict[str, datetime] = {}
    for tier in sorted(by_tier, reverse=True):
        reached = dict(until)
        for node, at, value in by_tier[tier]:
            if at > until.get(node, span.begin):
                reached[node] = at
                yield node, at, value
        until = reached

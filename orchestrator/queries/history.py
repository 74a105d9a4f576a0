"""What happened over time, from rows that are kept anyway: no series is stored for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncHour

from orchestrator.models import Event, Replica

RESTARTS = ("CrashLoopBackOff", "OOMKilled", "Error", "LivenessProbeFailed", "StartupProbeFailed")
ROLLOUTS = ("Created", "Changed", "RolledBack")
MOST_REPLICAS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What one hour saw."""

    begin: datetime
    restarts: int
    rollouts: int


def hours(now: datetime, *, number: int = 24) -> list[Hour]:
    """Return restarts and changes hour by hour, the latest last (1 query)."""
    begin = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=number - 1)
    rows = Event.objects.filter(at__gte=begin, reason__in=RESTARTS + ROLLOUTS).order_by()
    counted = rows.annotate(hour=TruncHour("at")).values_list("hour")
    counted = counted.annotate(
        restarts=Count("pk", filter=Q(reason__in=RESTARTS)),
        rollouts=Count("pk", filter=Q(reason__in=ROLLOUTS)),
    )
    listed: Any = counted
    found = {hour: (restarts, rollouts) for hour, restarts, rollouts in listed}
    moments = [begin + timedelta(hours=index) for index in range(number)]
    return [
        Hour(begin=at, restarts=found.get(at, (0, 0))[0], rollouts=found.get(at, (0, 0))[1])
        for at in moments
    ]


def running(namespace: str, name: str, moments: Sequence[datetime]) -> list[int]:
    """Return how many replicas of a deployment ran at each moment (1 query)."""
    rows = Replica.objects.filter(
        deployment__namespace_id=namespace, deployment__name=name, started_at__isnull=False
    ).filter(Q(finished_at=None) | Q(finished_at__gte=moments[0]))
    spans = list(rows.order_by("-pk").values_list("started_at", "finished_at")[:MOST_REPLICAS])
    return [
        sum(begin is not None and begin <= at and (end is None or end > at) for begin, end in spans)
        for at in moments
    ]

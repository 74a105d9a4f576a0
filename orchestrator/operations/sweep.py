"""What beat does: repair whatever a lost message left undone, and forget what is old.

Nothing here is needed while messages arrive; everything here makes losing them harmless.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db.models import Q

from orchestrator.core.lifecycle import GONE_PHASES
from orchestrator.models import (
    OPEN_STATES,
    Deployment,
    Event,
    IdempotentAnswer,
    Job,
    Rebalance,
    Replica,
)
from orchestrator.operations import autoscaling, logins

EVENTS_KEPT = timedelta(days=30)
JOBS_KEPT = timedelta(days=7)
ANSWERS_KEPT = timedelta(days=1)
GONE_REPLICAS_KEPT = 50


def owed(*, now: datetime) -> list[int]:
    """Return the deployments owed a pass: unsettled ones, and those whose time has come."""
    due = Q(settled=False) | Q(wake_at__lte=now)
    return list(Deployment.objects.filter(due).order_by("pk").values_list("pk", flat=True))


def prune(*, now: datetime) -> int:
    """Forget what is old: events, jobs, answers, logins, sessions, replicas; return the rows."""
    rows = 0
    rows += Event.objects.filter(at__lt=now - EVENTS_KEPT).delete()[0]
    finished = Job.objects.exclude(state__in=OPEN_STATES)
    rows += finished.filter(finished_at__lt=now - JOBS_KEPT).delete()[0]
    rows += IdempotentAnswer.objects.filter(created_at__lt=now - ANSWERS_KEPT).delete()[0]
    rows += logins.forget_old(now=now)
    rows += autoscaling.prune(now=now)
    rows += Session.objects.filter(expire_date__lt=now).delete()[0]
    ended = Rebalance.objects.filter(running=False)
    rows += ended.filter(ended_at__lt=now - EVENTS_KEPT).delete()[0]
    for pk in Deployment.objects.values_list("pk", flat=True):
        rows += _prune_replicas(pk)
    return rows


def _prune_replicas(deployment_id: int) -> int:
    gone = Replica.objects.filter(deployment_id=deployment_id, phase__in=GONE_PHASES)
    old: Iterable[int] = gone.order_by("-finished_at", "-pk").values_list("pk", flat=True)[
        GONE_REPLICAS_KEPT:
    ]
    return Replica.objects.filter(pk__in=list(old)).delete()[0]

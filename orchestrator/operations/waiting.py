"""Wake the deployments with replicas that wait for a place, when there may be one."""

from __future__ import annotations

from django.db import transaction

from orchestrator.core.lifecycle import LIVE_PHASES
from orchestrator.models import Replica
from orchestrator.operations import dispatch

# The rest is found by the next sweep: what waits is never settled.
WOKEN_AT_ONCE = 50


def wake() -> None:
    """Nudge what waits as soon as this transaction is over; nothing is locked for it."""
    transaction.on_commit(_nudge_all)


def _nudge_all() -> None:
    rows = Replica.objects.filter(phase__in=LIVE_PHASES).exclude(waiting="").order_by()
    found = rows.values_list("deployment_id", flat=True).distinct().order_by("deployment_id")
    for pk in list(found[:WOKEN_AT_ONCE]):
        dispatch.nudge(pk)

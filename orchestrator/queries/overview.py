"""What the overview shows: what needs somebody, what moves, and the sums; a few light queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.plan import DeploymentPhase
from orchestrator.models import Deployment, Replica
from orchestrator.queries import deployments
from orchestrator.queries.deployments import DeploymentRecord
from orchestrator.queries.replicas import TROUBLE

SHOWN = 20
NEWEST = 5
MOST_ROWS = 500
UNWELL = (DeploymentPhase.FAILED, DeploymentPhase.DEGRADED)
MOVING = (DeploymentPhase.PROGRESSING, DeploymentPhase.PAUSED, DeploymentPhase.DELETING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A deployment somebody should look at, and the replica that shows best why (if any)."""

    deployment: DeploymentRecord
    replica: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Interesting:
    """What the overview shows: the troubled ones, worst first; the others, newest first."""

    troubles: list[Trouble]
    moving: list[DeploymentRecord]
    newest: list[DeploymentRecord]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Totals over all deployments."""

    deployments: int
    wanted: int
    ready: int


def phase_counts(wanted: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return how many deployments there are in each phase, after the other filters."""
    rows = deployments.matching({**(wanted or {}), "phase": ""}).order_by()
    return dict(rows.values_list("phase").annotate(Count("pk")))


def interesting() -> Interesting:
    """Return what needs somebody, what moves, and what was changed last (2 queries)."""
    worst = _worst_replicas()
    unwell = Q(phase__in=UNWELL) | Q(pk__in=worst)
    newest = Deployment.objects.order_by("-changed_at").values("pk")[:NEWEST]
    wanted = unwell | Q(phase__in=MOVING) | Q(pk__in=newest)
    rows = list(Deployment.objects.filter(wanted).order_by("-changed_at")[:MOST_ROWS])
    troubled = [row for row in rows if (row.phase in UNWELL or row.pk in worst)]
    troubled = [row for row in troubled if not row.deleting]
    known = {row.pk for row in troubled}
    moving = [row for row in rows if row.phase in MOVING and row.pk not in known]
    return Interesting(
        troubles=[_trouble(row, worst) for row in sorted(troubled, key=_gravity)[:SHOWN]],
        moving=[deployments.record(row) for row in moving[:SHOWN]],
        newest=[deployments.record(row) for row in rows[:NEWEST]],
    )


def _worst_replicas() -> dict[int, tuple[str, str, str]]:
    """Return, by deployment, the troubled replica that restarted most: uid, reason, message."""
    rows = Replica.objects.filter(TROUBLE).order_by("-restarts")
    worst: dict[int, tuple[str, str, str]] = {}
    for pk, uid, phase, reason, message, waiting in rows.values_list(
        "deployment_id", "uid", "phase", "reason", "message", "waiting"
    )[:MOST_ROWS]:
        text = waiting if phase == ReplicaPhase.PENDING else message
        worst.setdefault(pk, (uid, reason, text))
    return worst


def _trouble(row: Deployment, worst: Mapping[int, tuple[str, str, str]]) -> Trouble:
    replica, reason, message = worst.get(row.pk, ("", "", ""))
    record = deployments.record(row)
    return Trouble(deployment=record, replica=replica, reason=reason, message=message)


def _gravity(row: Deployment) -> tuple[int, str]:
    rank = UNWELL.index(DeploymentPhase(row.phase)) if row.phase in UNWELL else len(UNWELL)
    return rank, str(row)


def sums() -> Sums:
    """Return the totals (1 query)."""
    asked = Deployment.objects.aggregate(
        n=Count("pk"), wanted=Sum("replicas"), ready=Sum("ready_replicas")
    )
    return Sums(
        deployments=asked["n"],
        wanted=asked["wanted"] or 0,
        ready=asked["ready"] or 0,
    )

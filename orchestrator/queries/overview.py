"""What the overview shows: what needs somebody, what moves, and the sums; a few light queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

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
    waits: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """The replica of a deployment that shows best what is wrong; one that `waits` has no node."""

    replica: str
    reason: str
    message: str
    waits: bool


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


def worst_of(names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Worst]:
    """Return the worst replica of each of these deployments that has one in trouble (1 query)."""
    if not names:
        return {}
    rows = Replica.objects.filter(TROUBLE, deployment__name__in={name for _, name in names})
    rows = rows.filter(deployment__namespace__name__in={namespace for namespace, _ in names})
    return _worst(rows, "deployment__namespace__name", "deployment__name")


def _worst_replicas() -> dict[int, Worst]:
    """Return by deployment the troubled replica that restarted most."""
    found = _worst(Replica.objects.filter(TROUBLE), "deployment_id")
    return {pk: worst for (pk,), worst in found.items()}


def _worst(rows: QuerySet[Replica], *keys: str) -> dict[Any, Worst]:
    worst: dict[Any, Worst] = {}
    shown = ("uid", "phase", "reason", "message", "waiting")
    for row in rows.order_by("-restarts", "pk").values_list(*shown, *keys)[:MOST_ROWS]:
        uid, phase, reason, message, waiting, *key = row
        waits = phase == ReplicaPhase.PENDING
        said = Worst(replica=uid, reason=reason, message=waiting if waits else message, waits=waits)
        worst.setdefault(tuple(key), said)
    return worst


def _trouble(row: Deployment, worst: Mapping[int, Worst]) -> Trouble:
    record, found = deployments.record(row), worst.get(row.pk)
    if found is None:
        return Trouble(deployment=record, replica="", reason="", message="")
    return Trouble(
        deployment=record,
        replica=found.replica,
        reason=found.reason,
        message=found.message,
        waits=found.waits,
    )


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

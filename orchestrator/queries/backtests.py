"""Replay what a deployment used through an autoscaler's policy, as it is and as it would be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from orchestrator.core.autoscaling.backtest import Course, Moment, replay
from orchestrator.core.autoscaling.observation import NO_GATEWAY
from orchestrator.core.autoscaling.policy import Policy, Source
from orchestrator.manifests import autoscaler as meaning
from orchestrator.manifests import deployment as manifests
from orchestrator.models import Autoscaler, Deployment
from orchestrator.queries import metrics
from orchestrator.queries.metrics import Point, Span

LONGEST_SECONDS = int(metrics.LONGEST.total_seconds())
# A day in so many points takes a second at most.
MOST_POINTS = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Two courses over the same load; `note` says what limits what they tell."""

    seconds: int
    resolution: int
    present: Course
    changed: Course
    note: str


def compare(full: dict[str, Any], *, seconds: int, now: datetime) -> Backtest | None:
    """Return both courses; None when there is no such autoscaler.

    `full` is the changed manifest; the present one is what is stored under its name.
    """
    namespace, name = full["metadata"]["namespace"], full["metadata"]["name"]
    row = Autoscaler.objects.filter(namespace_id=namespace, name=name).first()
    if row is None:
        return None
    present = meaning.policy_of(manifests.with_defaults(row.manifest))
    length = timedelta(seconds=max(seconds, metrics.FINEST_SECONDS))
    fitting = max(metrics.FINEST_SECONDS, int(length.total_seconds()) // MOST_POINTS)
    span = Span.latest(now, length, fitting)
    target = Deployment.objects.filter(namespace_id=namespace, name=row.target).first()
    points = metrics.of_deployment(namespace, row.target, span) or []
    requested = _requested(target)
    moments = [_moment(point) for point in points]
    return Backtest(
        seconds=int(length.total_seconds()),
        resolution=span.seconds,
        present=_course(present, moments, requested),
        changed=_course(meaning.policy_of(full), moments, requested),
        note=_note(points),
    )


def _course(policy: Policy, moments: list[Moment], requested: dict[Source, int]) -> Course:
    seen = {source for moment in moments for source in moment.total}
    silent = {s: NO_GATEWAY for s in Source if not s.is_resource and s not in seen}
    return replay(policy, moments, requested=requested, silent=silent)


def _moment(point: Point) -> Moment:
    used = {
        Source.CPU: point.cpu_millis,
        Source.MEMORY: point.memory_bytes,
        Source.REQUESTS_PER_SECOND: point.requests_per_second_millis,
        Source.REQUESTS_IN_FLIGHT: point.requests_in_flight_millis,
    }
    total = {source: value for source, value in used.items() if value is not None}
    return Moment(at=point.at, total=total, replicas=point.replicas)


def _requested(target: Deployment | None) -> dict[Source, int]:
    if target is None:
        return {}
    full = manifests.with_defaults(target.manifest)
    resources = manifests.resources_of(full["spec"]["template"])
    return {
        Source.CPU: resources.cpu_request_millis or 0,
        Source.MEMORY: resources.memory_request_bytes or 0,
    }


def _note(points: list[Point]) -> str:
    if not points:
        return "nothing was measured in this time"
    held = sum(
        1 for p in points if p.cpu_limit_millis and (p.cpu_millis or 0) >= 0.95 * p.cpu_limit_millis
    )
    if held:
        share = round(100 * held / len(points))
        return f"for {share} % of the time cpu was at its limit, so the real load was higher"
    return "the load is shared equally by as many replicas as there would have been"

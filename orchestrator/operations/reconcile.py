"""One pass for one deployment: lock it, look, ask the planner, save what it says, send the jobs.

The plan is carried out as it stands, in one transaction: replica rows, job rows and events appear
together or not at all. Messages leave when that is committed. A plan that takes room on nodes is
made again while no other pass can take any, where what it was made from may be out of date.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from orchestrator.core.plan import Action, Plan
from orchestrator.core.planner import make_plan
from orchestrator.models import Deployment
from orchestrator.operations import advisory_locks, announce, dispatch, routing
from orchestrator.operations.carrying_out import Execution
from orchestrator.queries import snapshots


class Outcome(StrEnum):
    """How a pass ended."""

    APPLIED = "applied"
    CONFLICT = "conflict"
    GONE = "gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass did, and the reason of each action.

    `wake_at` is when time alone calls for the next.
    """

    outcome: Outcome
    actions: int = 0
    reasons: tuple[str, ...] = ()
    wake_at: datetime | None = None


def run(deployment_id: int, *, now: datetime) -> Pass:
    """Bring one deployment a step closer to what was asked for.

    A pass that finds another at work ends as `CONFLICT`: the caller nudges again, because the
    other may have read before the latest change.
    """
    with transaction.atomic():
        rows = Deployment.objects.select_for_update(skip_locked=True, no_key=True)
        deployment = rows.filter(pk=deployment_id).first()
        if deployment is None:
            exists = Deployment.objects.filter(pk=deployment_id).exists()
            return Pass(outcome=Outcome.CONFLICT if exists else Outcome.GONE)
        revisions = list(deployment.revisions.order_by("number"))
        plan = make_plan(snapshots.load(deployment, revisions, now=now))
        if plan.takes_room and advisory_locks.take_placement():
            plan = make_plan(snapshots.load(deployment, revisions, now=now))
        before = _shown(deployment)
        execution = Execution(deployment, revisions, now)
        execution.carry_out(plan.actions)
        if not execution.finished:
            _remember(deployment, plan, rolled_back=execution.rolled_back)
        if plan.actions or _shown(deployment) != before:
            topic = announce.deployment_topic(deployment.namespace_id, deployment.name)
            announce.changed(topic)
        if execution.finished:
            return Pass(outcome=Outcome.GONE, actions=len(plan.actions))
        routing.refresh([deployment_id], now=now)
        transaction.on_commit(lambda: dispatch.send(execution.jobs, now=now))
        if execution.rolled_back:
            transaction.on_commit(lambda: dispatch.nudge(deployment_id))
    return Pass(
        outcome=Outcome.APPLIED,
        actions=len(plan.actions),
        reasons=tuple(_reason(action) for action in plan.actions),
        wake_at=plan.wake_at,
    )


def _reason(action: Action) -> str:
    """Return why, or for what goes without saying, what."""
    return str(getattr(action, "reason", type(action).__name__))


def _shown(deployment: Deployment) -> tuple[object, ...]:
    return (
        deployment.phase,
        deployment.message,
        deployment.live_replicas,
        deployment.updated_replicas,
        deployment.ready_replicas,
        deployment.available_replicas,
    )


def _remember(deployment: Deployment, plan: Plan, *, rolled_back: bool) -> None:
    """Save the verdict and what the next pass needs; a rollback has begun a rollout of its own."""
    verdict = plan.verdict
    deployment.phase, deployment.message = verdict.phase, verdict.message
    deployment.live_replicas = verdict.replicas
    deployment.updated_replicas = verdict.updated
    deployment.ready_replicas = verdict.ready
    deployment.available_replicas = verdict.available
    deployment.wake_at = plan.wake_at
    if not rolled_back:
        rollout = plan.rollout
        deployment.rollout_state = rollout.state
        deployment.progressed_at = rollout.progressed_at
        deployment.scaled_for, deployment.scaled_max = rollout.scaled_for, rollout.scaled_max
        deployment.seen_updated, deployment.seen_old = rollout.updated, rollout.old
        deployment.seen_ready, deployment.seen_available = rollout.ready, rollout.available
        deployment.observed_generation = deployment.generation
        deployment.settled = plan.settled
    deployment.save()

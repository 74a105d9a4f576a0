"""Let every autoscaler look, decide, write the decision down, and change the number it owns.

What changes nothing is written in one go. A change is carried out under the deployment's lock, and
only if the number is still the one that was looked at; else the next look decides anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q

from orchestrator.core.autoscaling.decision import Decision, Word
from orchestrator.core.autoscaling.evaluation import evaluate, without_target
from orchestrator.core.autoscaling.plain import detail
from orchestrator.core.autoscaling.policy import LONGEST_WINDOW_SECONDS
from orchestrator.core.autoscaling.sentences import message
from orchestrator.models import Autoscaler, Deployment, ScalingDecision
from orchestrator.operations import announce, events, owing, replica_counts
from orchestrator.queries import loads
from orchestrator.queries.loads import Watched

# Decisions that changed nothing are kept as long as one of them may be looked back at, and a bit.
QUIET_KEPT = timedelta(seconds=LONGEST_WINDOW_SECONDS + 300)
CHANGES_KEPT = timedelta(days=30)
# Two beats tick twice; the second look so soon after the first is left out.
SHORTEST_PAUSE = timedelta(seconds=1)


def run(*, now: datetime) -> int:
    """Evaluate every autoscaler once; return how many numbers were changed."""
    quiet: list[tuple[ScalingDecision, bool]] = []
    changed = 0
    for watched in loads.observe(now):
        if watched.latest is not None and now - watched.latest[0] < SHORTEST_PAUSE:
            continue
        decision = _decision(watched, now)
        row = _row(watched, decision)
        if decision.changes:
            changed += _change(watched, decision, row)
            continue
        is_news = watched.latest is None or watched.latest[1] != row.word
        quiet.append((row, is_news))
        if decision.word is Word.NO_METRICS and watched.latest is not None and is_news:
            _warn(watched, row)
    _write(quiet)
    return changed


def wake(*, now: datetime) -> set[int]:
    """Start who is asleep and waited for at a gateway; return the deployments that changed."""
    woken = set()
    for watched in loads.observe(now, only_asleep=True):
        decision = _decision(watched, now)
        if decision.changes and _change(watched, decision, _row(watched, decision)):
            woken.add(int(watched.deployment or 0))
    return woken


def prune(*, now: datetime) -> int:
    """Forget old decisions; return how many rows went."""
    is_quiet = Q(current=F("desired"), at__lt=now - QUIET_KEPT)
    old = ScalingDecision.objects.filter(is_quiet | Q(at__lt=now - CHANGES_KEPT))
    return old.delete()[0]


def _decision(watched: Watched, now: datetime) -> Decision:
    if watched.observation is None:
        return without_target(now, watched.policy)
    return evaluate(watched.policy, watched.observation)


def _row(watched: Watched, decision: Decision) -> ScalingDecision:
    return ScalingDecision(
        autoscaler_id=watched.pk,
        at=decision.now,
        current=decision.current,
        proposed=decision.proposed,
        desired=decision.desired,
        word=decision.word,
        message=message(decision),
        detail=detail(decision),
    )


def _change(watched: Watched, decision: Decision, row: ScalingDecision) -> bool:
    """Carry a decision out; return whether it was still right to."""
    if watched.deployment is None:
        return False
    with transaction.atomic():
        rows = Deployment.objects.select_for_update(of=("self",), no_key=True)
        deployment = rows.filter(pk=watched.deployment, replicas=decision.current).first()
        owner = Autoscaler.objects.filter(pk=watched.pk).first()
        if deployment is None or owner is None or deployment.scaled_by != owner.name:
            return False
        replica_counts.autoscale(deployment, decision.desired)
        event = events.about_deployment(
            deployment,
            reason="Scaled",
            message=f'autoscaler "{owner.name}": {row.message}',
            now=decision.now,
            revision=deployment.revision,
            cause_id=None,
        )
        row.save()
        owing.owe_a_pass(deployment, event)
        announce.changed(announce.autoscaler_topic(owner.namespace_id, owner.name))
    return True


def _warn(watched: Watched, row: ScalingDecision) -> None:
    """Note that an autoscaler has lost sight; said once, until it sees again."""
    for deployment in Deployment.objects.filter(pk__in=[watched.deployment]):
        events.about_deployment(
            deployment,
            reason="MetricsMissing",
            message=f'autoscaler "{deployment.scaled_by}": {row.message}',
            now=row.at,
            cause_id=None,
            severity="warning",
        ).save()


def _write(quiet: list[tuple[ScalingDecision, bool]]) -> None:
    """Write down what changed nothing; open pages are told only of a new reason."""
    if not quiet:
        return
    with transaction.atomic():
        # Those that were deleted meanwhile would break the whole insert.
        known = Autoscaler.objects.in_bulk([row.autoscaler_id for row, _ in quiet])
        kept = [(row, is_news) for row, is_news in quiet if row.autoscaler_id in known]
        ScalingDecision.objects.bulk_create([row for row, _ in kept], batch_size=200)
        news = [known[row.autoscaler_id] for row, is_news in kept if is_news]
        announce.changed(*(announce.autoscaler_topic(n.namespace_id, n.name) for n in news))

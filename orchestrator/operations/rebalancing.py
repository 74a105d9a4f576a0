"""Rebalance on request: begin what was proposed, call it off, and note what became of each move.

The planner does the moving, deployment by deployment (`core/relocating.py`); what it is to do is
chosen in `core/rebalancing.py`. Deployments are locked before the rebalance itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from django.db import IntegrityError, transaction

from orchestrator.core.plan import EndMove
from orchestrator.core.rebalancing import Proposal
from orchestrator.core.wording import count
from orchestrator.models import Deployment, Event, MoveState, Rebalance, RebalanceMove
from orchestrator.operations import announce, dispatch, events
from orchestrator.operations.events import Act, Change
from orchestrator.queries import rebalances


class RebalanceRefused(Exception):
    """It cannot begin, or there is none to cancel; the message says why."""


def begin(change: Change, *, digest: str = "") -> Rebalance:
    """Have everything that is proposed now moved.

    With the `digest` of a proposal only that one: what was looked at is what is done.

    Raises:
        RebalanceRefused: one is running, nothing is to be gained, or another would be proposed.
    """
    try:
        with transaction.atomic():
            return _begin(change, digest)
    except IntegrityError as error:
        raise RebalanceRefused("a rebalance is running already; cancel it or let it end") from error


def _begin(change: Change, digest: str) -> Rebalance:
    if Rebalance.objects.filter(running=True).exists():
        raise RebalanceRefused("a rebalance is running already; cancel it or let it end")
    proposal = rebalances.propose(now=change.now)
    if digest and digest != rebalances.digest_of(proposal):
        raise RebalanceRefused("things have changed since this plan was made; look at it again")
    if not proposal.moves:
        raise RebalanceRefused("there is nothing to gain by moving any replica")
    deployments = _locked({move.deployment for move in proposal.moves})
    row = _saved(proposal, deployments, change)
    event = _record(change, "rebalance", "Rebalance", row, _begun(proposal))
    for deployment in deployments.values():
        _owe_a_pass(deployment.pk, event, rebalancing=True)
    return row


def cancel(change: Change) -> Rebalance:
    """Begin no further move; what has moved stays, and a move under way is taken back.

    Raises:
        RebalanceRefused: none is running.
    """
    with transaction.atomic():
        open_moves = RebalanceMove.objects.filter(state=MoveState.OPEN)
        concerned = Deployment.objects.filter(pk__in=open_moves.values("deployment_id"))
        deployments = list(concerned.select_for_update(no_key=True).order_by("pk"))
        row = Rebalance.objects.select_for_update(no_key=True).filter(running=True).first()
        if row is None:
            raise RebalanceRefused("no rebalance is running")
        moves = row.moves.filter(state=MoveState.OPEN)
        number = moves.update(state=MoveState.CANCELLED, message="cancelled", ended_at=change.now)
        row.running, row.cancelled, row.ended_at = False, True, change.now
        row.save()
        message = f"the rebalance is cancelled with {count(number, 'move')} left"
        event = _record(change, "cancel", "RebalanceCancelled", row, message)
        for deployment in deployments:
            _owe_a_pass(deployment.pk, event, rebalancing=False)
        return row


def end_move(deployment: Deployment, action: EndMove, *, now: datetime) -> None:
    """Note what became of a move, in the transaction of the pass that holds the deployment."""
    run = Rebalance.objects.select_for_update(no_key=True).filter(moves=action.move).first()
    move = RebalanceMove.objects.filter(pk=action.move, state=MoveState.OPEN).first()
    if run is None or move is None:
        return
    move.state = MoveState.DONE if action.done else MoveState.DROPPED
    move.message, move.ended_at = action.message, now
    move.save()
    events.about_deployment(
        deployment,
        reason=f"Move{move.state.capitalize()}",
        message=action.message,
        now=now,
        replica=move.replica,
        node=move.target,
        severity=events.warning_if(not action.done),
    ).save()
    left = deployment.moves.filter(state=MoveState.OPEN)
    deployment.rebalancing = left.exists()
    Deployment.objects.filter(pk=deployment.pk).update(rebalancing=deployment.rebalancing)
    announce.changed(announce.deployment_topic(deployment.namespace_id, deployment.name))
    if not run.moves.filter(state=MoveState.OPEN).exists():
        _finish(run, now)


def _finish(run: Rebalance, now: datetime) -> None:
    run.running, run.ended_at = False, now
    run.save()
    done = run.moves.filter(state=MoveState.DONE).count()
    dropped = run.moves.filter(state=MoveState.DROPPED).count()
    message = f"the rebalance has ended: {done} moved, {dropped} dropped"
    events.about_everything(reason="RebalanceEnded", message=message, now=now).save()
    announce.changed(announce.REBALANCE)


def _locked(names: set[str]) -> Mapping[str, Deployment]:
    pks = [
        pk
        for pk, namespace, name in Deployment.objects.values_list("pk", "namespace_id", "name")
        if f"{namespace}/{name}" in names
    ]
    rows = Deployment.objects.select_for_update(no_key=True).filter(pk__in=pks).order_by("pk")
    return {str(row): row for row in rows}


def _saved(proposal: Proposal, deployments: Mapping[str, Deployment], change: Change) -> Rebalance:
    before, after = proposal.before, proposal.after
    row = Rebalance.objects.create(
        asked_by=change.actor,
        asked_at=change.now,
        pairs_before=before.pairs,
        pairs_after=after.pairs,
        fullest_before=before.fullest,
        fullest_after=after.fullest,
        emptiest_before=before.emptiest,
        emptiest_after=after.emptiest,
    )
    RebalanceMove.objects.bulk_create(
        RebalanceMove(
            rebalance=row,
            deployment=deployments[move.deployment],
            namespace=deployments[move.deployment].namespace_id,
            name=deployments[move.deployment].name,
            replica=move.replica,
            slot=move.slot,
            source=move.source,
            target=move.target,
            pairs=move.pairs,
            relief=move.relief,
            gain=move.gain,
            seconds=move.seconds,
            fewer=move.fewer,
            cost=move.cost,
        )
        for move in proposal.moves
        if move.deployment in deployments
    )
    return row


def _begun(proposal: Proposal) -> str:
    before, after = proposal.before, proposal.after
    return (
        f"{count(len(proposal.moves), 'move')} to spread replicas better: pairs of one deployment "
        f"on one node {before.pairs} → {after.pairs}, "
        f"fullest node {before.fullest // 10} % → {after.fullest // 10} % reserved"
    )


def _record(change: Change, verb: str, reason: str, row: Rebalance, message: str) -> Event:
    announce.changed(announce.REBALANCE)
    act = Act(verb=verb, kind="rebalance", name=str(row.pk))
    return events.record(change, reason, message, act)


def _owe_a_pass(pk: int, event: Event, *, rebalancing: bool) -> None:
    Deployment.objects.filter(pk=pk).update(settled=False, cause=event, rebalancing=rebalancing)
    transaction.on_commit(partial(dispatch.nudge, pk))

"""What gateways say of themselves: the routes in force, what is still busy, what they cannot do."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from django.db import transaction

from orchestrator.core.lifecycle import NodeState, ReplicaPhase
from orchestrator.models import Endpoint, Gateway, Node, Replica, Routing
from orchestrator.operations import announce, dispatch, events, route_tables, routing
from orchestrator.queries import gateways as queries
from worker import protocol

# So long without confirming what it was told, a gateway is said to be behind.
BEHIND_AFTER = timedelta(seconds=10)


def take(node: Node, status: protocol.RoutingStatus, *, now: datetime) -> set[int]:
    """Save what a node's newest report says of its gateways, in the transaction that locks it.

    Return the deployments with withdrawn replicas that nothing holds any longer.
    """
    found = Gateway.objects.filter(node=node).first()
    row = found or Gateway(node=node, confirmed_at=now)
    before = (row.generation, row.ways, row.busy)
    after = (status.generation, list(status.ways), sorted(status.busy))
    waiting = list(status.waiting)
    is_same = before == after and (row.waiting, row.message) == (waiting, status.message)
    if found is not None and is_same:
        return set()
    _tell_message(row, status.message, now)
    is_back = found is None or status.generation < row.generation
    row.generation, row.ways, row.busy = after
    row.message, row.waiting, row.confirmed_at = status.message, waiting, now
    _count(row, is_back=is_back, now=now)
    row.save()
    announce.changed(announce.TRAFFIC_TOPIC)
    return released() if before != after else set()


def released() -> set[int]:
    """Return the deployments with withdrawn replicas that no gateway holds any longer."""
    waiting = dict(
        Replica.objects.filter(phase=ReplicaPhase.WITHDRAWN)
        .order_by()
        .values_list("uid", "deployment_id")
    )
    if not waiting:
        return set()
    views = queries.waited_for()
    lowest = min((view.generation for view in views), default=None)
    held = {uid for view in views for uid in view.busy}
    if lowest is not None:
        later = Endpoint.objects.filter(replica_uid__in=waiting, generation__gt=lowest)
        held |= set(later.values_list("replica_uid", flat=True))
    return {deployment for uid, deployment in waiting.items() if uid not in held}


def nudge_released() -> None:
    """Ask for passes over what may wait for a gateway no longer, once this transaction is over."""
    transaction.on_commit(lambda: [dispatch.nudge(pk) for pk in sorted(released())])


def watch(*, now: datetime) -> None:
    """Note which gateways have not confirmed for long what they were told."""
    owed = Gateway.objects.filter(behind=False, owed_since__lte=now - BEHIND_AFTER)
    for row in owed.exclude(node__state=NodeState.LOST).select_related("node"):
        if row.ways:
            Gateway.objects.filter(pk=row.pk).update(behind=True)
            latest = Routing.objects.get(pk=1).generation
            message = (
                f"the gateway on node {row.node_id} has confirmed routes up to generation "
                f"{row.generation} and was told {latest} {BEHIND_AFTER.seconds} s ago; replicas "
                "that are to stop wait for it until their time is over"
            )
            _tell(row, "GatewayBehind", message, now, is_warning=True)
            announce.changed(announce.TRAFFIC_TOPIC)


def _count(row: Gateway, *, is_back: bool, now: datetime) -> None:
    """Note how far the gateway is, and see to it that it gets what it lacks."""
    latest = Routing.objects.filter(pk=1).values_list("generation", flat=True).first() or 0
    if row.generation > latest:
        transaction.on_commit(partial(routing.jump_above, row.generation))
    if row.generation >= latest:
        row.attempts, row.owed_since = 0, None
        if row.behind:
            row.behind = False
            message = f"the gateway on node {row.node_id} has confirmed the latest routes"
            _tell(row, "GatewayCaughtUp", message, now)
        return
    row.owed_since = now
    if is_back:
        row.attempts = 0
        transaction.on_commit(partial(route_tables.send_to, str(row.node_id)))


def _tell_message(row: Gateway, message: str, now: datetime) -> None:
    if message == row.message:
        return
    if message:
        told = f"the gateway on node {row.node_id} says: {message}"
        _tell(row, "GatewayTrouble", told, now, is_warning=True)
    else:
        _tell(row, "GatewayWell", f"the gateway on node {row.node_id} is well again", now)


def _tell(
    row: Gateway, reason: str, message: str, now: datetime, *, is_warning: bool = False
) -> None:
    event = events.about_node(
        str(row.node_id),
        reason=reason,
        message=message,
        now=now,
        severity=events.warning_if(is_warning),
    )
    event.save()

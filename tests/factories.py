"""Plain builders with defaults for the core's values; a test names only what it is about."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

from orchestrator.core.constraints import Operator, Requirement
from orchestrator.core.lifecycle import NodeState, ReplicaPhase, RolloutState
from orchestrator.core.plan import (
    AssignReplica,
    CompleteRollout,
    EndMove,
    Plan,
    PruneRevision,
    ScaleRevision,
    StartReplica,
    StopReplica,
    UpdateReplica,
    WithdrawReplica,
)
from orchestrator.core.snapshot import (
    GatewayView,
    NodeView,
    ReplicaView,
    RevisionView,
    RolloutView,
    Snapshot,
)
from orchestrator.core.spec import (
    NOTHING,
    Amounts,
    DeploymentSpec,
    Resources,
    Strategy,
    UpdatePolicy,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
HOUR_AGO = NOW - timedelta(hours=1)


def a_policy(surge=1, unavailable=0, *, recreate=False):
    """Return bounds of a rolling update, or the Recreate strategy."""
    strategy = Strategy.RECREATE if recreate else Strategy.ROLLING_UPDATE
    return UpdatePolicy(strategy=strategy, max_surge=surge, max_unavailable=unavailable)


def a_spec(replicas=3, **fields):
    """Return a wish for `replicas` replicas."""
    return DeploymentSpec(replicas=replicas, **fields)


def a_revision(number=1, desired=0, **fields):
    """Return a revision."""
    return RevisionView(number=number, desired=desired, created_at=HOUR_AGO, **fields)


def a_replica(uid, revision=1, slot=0, *, node="a", phase=ReplicaPhase.RUNNING, **fields):
    """Return a replica; a running one is ready for an hour unless told otherwise."""
    runs = phase is ReplicaPhase.RUNNING
    fields.setdefault("ready", runs)
    fields.setdefault("ready_at", HOUR_AGO if fields["ready"] else None)
    fields.setdefault("created_at", HOUR_AGO)
    return ReplicaView(uid=uid, revision=revision, slot=slot, node=node, phase=phase, **fields)


def some_replicas(number, revision=1, *, available=None, node="a"):
    """Return replicas of one revision, of which the first `available` serve (default: all)."""
    serving = number if available is None else available
    return tuple(
        a_replica(f"r{revision}-{slot}", revision, slot, node=node, ready=slot < serving)
        for slot in range(number)
    )


def a_node(name="a", **fields):
    """Return a node that is ready."""
    fields.setdefault("state", NodeState.READY)
    return NodeView(name=name, **fields)


def a_gateway(node="a", generation=0, busy=()):
    """Return a gateway with routes of a generation in force."""
    return GatewayView(node=node, generation=generation, busy=frozenset(busy))


def amounts(cpu=0, memory=0):
    """Return so many thousandths of a core and Mi of memory."""
    return Amounts(cpu_millis=cpu, memory_bytes=memory << 20)


def requests(cpu=None, memory=None):
    """Return resources that request so many thousandths of a core and Mi of memory."""
    size = None if memory is None else memory << 20
    return Resources(cpu_request_millis=cpu, memory_request_bytes=size)


def needs(key, operator="Exists", *values):
    """Return a selector of one requirement."""
    return (Requirement(key=key, operator=Operator(operator), values=values),)


def a_rollout(state=RolloutState.PROGRESSING, scaled_for=3, **fields):
    """Return what the latest pass remembered."""
    fields.setdefault("progressed_at", NOW)
    fields.setdefault("scaled_max", scaled_for + 1)
    return RolloutView(state=state, scaled_for=scaled_for, **fields)


def a_snapshot(**fields):
    """Return a new deployment of three replicas on one node, before its first pass."""
    fields.setdefault("now", NOW)
    fields.setdefault("deployment", "default/web")
    fields.setdefault("spec", a_spec())
    fields.setdefault("revisions", (a_revision(1),))
    fields.setdefault("current", fields["revisions"][-1].number)
    fields.setdefault("rollout", a_rollout(scaled_for=fields["spec"].replicas))
    fields.setdefault("nodes", (a_node("a"),))
    return Snapshot(**fields)


def a_running_snapshot(size=3, /, **fields):
    """Return a deployment that has completed revision 1 and runs all its replicas."""
    fields.setdefault("spec", a_spec(size))
    fields.setdefault("revisions", (a_revision(1, size, completed=True),))
    fields.setdefault("replicas", some_replicas(size))
    seen = {"updated": size, "ready": size, "available": size}
    fields.setdefault("rollout", a_rollout(RolloutState.COMPLETE, size, **seen))
    return a_snapshot(**fields)


def carried_out(snapshot: Snapshot, plan: Plan) -> Snapshot:
    """Return the snapshot after the plan's direct effects, before any node has said a word."""
    revisions = {view.number: view for view in snapshot.revisions}
    replicas = {view.uid: view for view in snapshot.replicas}
    before = dict(replicas)
    for action in plan.actions:
        match action:
            case ScaleRevision():
                revisions[action.revision] = replace(
                    revisions[action.revision], desired=action.desired
                )
            case StartReplica():
                made = _started(action, snapshot)
                replicas[made.uid] = made
            case StopReplica() if replicas[action.replica].node is None:
                del replicas[action.replica]
            case _:
                _apply_small(action, revisions, replicas, snapshot)
    nodes = tuple(_with_reservations(node, before, replicas) for node in snapshot.nodes)
    ended = {action.move for action in plan.actions if isinstance(action, EndMove)}
    return replace(
        snapshot,
        rollout=plan.rollout,
        revisions=tuple(revisions.values()),
        replicas=tuple(replicas.values()),
        nodes=nodes,
        asked=tuple(move for move in snapshot.asked if move.id not in ended),
    )


def _next_routes(snapshot):
    """Return the generation that the next change of routes gets."""
    known = [gateway.generation for gateway in snapshot.gateways]
    return max([*known, *(view.routes_generation for view in snapshot.replicas)], default=0) + 1


def _with_reservations(node, before, after):
    """Return the node with what its replicas reserve now, and as many of them as there are."""
    mine = [view for view in after.values() if view.node == node.name]
    had = [view for view in before.values() if view.node == node.name]
    reserved = sum((view.reserved for view in mine), node.reserved)
    reserved -= sum((view.reserved for view in had), NOTHING)
    return replace(node, reserved=reserved, replicas=node.replicas + len(mine) - len(had))


def _started(action, snapshot):
    return ReplicaView(
        uid=_fresh_uid(f"new-{action.revision}-{action.slot}", snapshot),
        revision=action.revision,
        slot=action.slot,
        node=action.node,
        phase=ReplicaPhase.ASSIGNED if action.node else ReplicaPhase.PENDING,
        resources=action.resources,
        reserved=action.resources.requested if action.node else NOTHING,
        waiting=action.waiting,
        replaces=action.replaces,
        moves=action.moves,
        created_at=snapshot.now,
    )


def _fresh_uid(name, snapshot):
    """Return a uid that no replica has, nor one that another was started instead of."""
    taken = {uid for view in snapshot.replicas for uid in (view.uid, view.replaces)}
    return next(uid for n in count() if (uid := f"{name}.{n}" if n else name) not in taken)


def _apply_small(action, revisions, replicas, snapshot):
    now, next_routes = snapshot.now, _next_routes(snapshot)
    match action:
        case WithdrawReplica():
            view = replicas[action.replica]
            replicas[action.replica] = replace(
                view,
                phase=ReplicaPhase.WITHDRAWN,
                ready=False,
                ready_at=None,
                routed=False,
                routes_generation=next_routes if view.routed else view.routes_generation,
                withdrawn_at=now,
                withdrawn_for=action.reason,
            )
        case StopReplica():
            stopping = replace(
                replicas[action.replica], phase=ReplicaPhase.STOPPING, ready=False, ready_at=None
            )
            replicas[action.replica] = stopping
        case AssignReplica(node=None):
            replicas[action.replica] = replace(replicas[action.replica], waiting=action.waiting)
        case AssignReplica():
            replicas[action.replica] = replace(
                replicas[action.replica],
                node=action.node,
                phase=ReplicaPhase.ASSIGNED,
                waiting="",
                resources=action.resources,
                reserved=action.resources.requested,
            )
        case UpdateReplica():
            replica = replicas[action.replica]
            replicas[action.replica] = replace(
                replica,
                resources=action.resources,
                reserved=action.resources.requested.at_least(replica.reserved),
                waiting="",
            )
        case CompleteRollout():
            revisions[action.revision] = replace(revisions[action.revision], completed=True)
        case PruneRevision():
            del revisions[action.revision]

"""Stop a replica only when nobody is sent to it any more, and what it has in hand is done.

A replica that gateways know of is withdrawn first. It stops when every gateway that is waited for
has confirmed routes without it and none has connections to it left, or when its time is over.
A replica no gateway ever knew of stops at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.plan import Action, Reason, StopReplica, WithdrawReplica
from orchestrator.core.snapshot import ReplicaView, Snapshot
from orchestrator.core.wording import be, join


def in_order(
    snapshot: Snapshot, stops: tuple[StopReplica, ...]
) -> tuple[WithdrawReplica | StopReplica, ...]:
    """Return the stops, those of replicas somebody may be sent to as withdrawals first."""
    views = {view.uid: view for view in snapshot.replicas}
    return tuple(
        stop if _is_unknown(views[stop.replica], snapshot) else _withdraw(stop) for stop in stops
    )


def ended(snapshot: Snapshot) -> Iterator[StopReplica]:
    """Yield the stops of withdrawn replicas for which nothing is waited any longer."""
    for view in snapshot.replicas:
        if view.phase is not ReplicaPhase.WITHDRAWN:
            continue
        blockers = tuple(_blockers(view, snapshot))
        if not blockers:
            yield _stop(view, "nobody is sent to it any more, and what it had in hand is done")
        elif _limit(view, snapshot) <= snapshot.now:
            limit = snapshot.spec.drain_seconds
            yield _stop(view, f"its {limit} s to finish are over: {join(blockers)}", is_cut=True)


def wake_at(snapshot: Snapshot, actions: Iterable[Action]) -> datetime | None:
    """Return when the time of the first replica withdrawn before or by these actions is over."""
    before = [view for view in snapshot.replicas if view.phase is ReplicaPhase.WITHDRAWN]
    limits = [limit for view in before if (limit := _limit(view, snapshot)) > snapshot.now]
    if any(isinstance(action, WithdrawReplica) for action in actions):
        limits.append(snapshot.now + timedelta(seconds=snapshot.spec.drain_seconds))
    return min(limits, default=None)


def waits_for(view: ReplicaView, snapshot: Snapshot) -> str:
    """Return in words what keeps a withdrawn replica from being stopped, and how long it may.

    Empty when nothing does.
    """
    blockers = tuple(_blockers(view, snapshot))
    if not blockers:
        return ""
    seconds = max(0, round((_limit(view, snapshot) - snapshot.now).total_seconds()))
    return f"{join(blockers)}; it stops in {seconds} s at the latest"


def _blockers(view: ReplicaView, snapshot: Snapshot) -> Iterator[str]:
    behind = [gateway.node for gateway in snapshot.gateways if _may_send(gateway.generation, view)]
    busy = [gateway.node for gateway in snapshot.gateways if view.uid in gateway.busy]
    if behind:
        have = "has" if len(behind) == 1 else "have"
        yield f"{_gateways(behind)} {have} not confirmed that new connections go elsewhere"
    if busy:
        yield f"{_gateways(busy)} {be(len(busy))} still busy with it"


def _gateways(nodes: list[str]) -> str:
    named = join(nodes[:5])
    more = f" and {len(nodes) - 5} more" if len(nodes) > 5 else ""
    return f"the gateway on {named}" if len(nodes) == 1 else f"the gateways on {named}{more}"


def _may_send(generation: int, view: ReplicaView) -> bool:
    return view.routed or generation < view.routes_generation


def _is_unknown(view: ReplicaView, snapshot: Snapshot) -> bool:
    """Tell whether no gateway that is waited for may still send anything to the replica."""
    return not any(_may_send(gateway.generation, view) for gateway in snapshot.gateways)


def _limit(view: ReplicaView, snapshot: Snapshot) -> datetime:
    since = view.withdrawn_at or snapshot.now
    return since + timedelta(seconds=snapshot.spec.drain_seconds)


def _withdraw(stop: StopReplica) -> WithdrawReplica:
    return WithdrawReplica(replica=stop.replica, reason=stop.reason, message=stop.message)


def _stop(view: ReplicaView, why: str, *, is_cut: bool = False) -> StopReplica:
    return StopReplica(
        replica=view.uid,
        reason=Reason(view.withdrawn_for),
        message=f"the replica was withdrawn; {why}",
        is_cut=is_cut,
    )

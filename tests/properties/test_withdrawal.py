"""The order of a stop, for any legal snapshot: out of rotation, confirmed, then SIGTERM."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, settings

from orchestrator.core.lifecycle import ReplicaPhase
from orchestrator.core.plan import StopReplica, WithdrawReplica
from orchestrator.core.planner import make_plan
from tests.factories import NOW, carried_out
from tests.strategies import snapshots

PROFILE = settings(max_examples=2 * settings().max_examples)


def of_kind(plan, kind):
    return [action for action in plan.actions if isinstance(action, kind)]


def held(view, snapshot):
    """Tell whether a gateway may still send to a replica, or has something going on there."""
    withdrawn = view.phase is ReplicaPhase.WITHDRAWN
    return any(
        view.routed
        or gateway.generation < view.routes_generation
        or (withdrawn and view.uid in gateway.busy)
        for gateway in snapshot.gateways
    )


@PROFILE
@given(snapshot=snapshots())
def test_no_stop_is_planned_for_a_replica_that_a_gateway_may_still_send_to(snapshot):
    views = {view.uid: view for view in snapshot.replicas}

    stops = of_kind(make_plan(snapshot), StopReplica)

    assert not [stop for stop in stops if held(views[stop.replica], snapshot) and not stop.is_cut]


@PROFILE
@given(snapshot=snapshots())
def test_only_a_withdrawn_replica_whose_time_is_over_is_cut(snapshot):
    views = {view.uid: view for view in snapshot.replicas}

    cut = [stop for stop in of_kind(make_plan(snapshot), StopReplica) if stop.is_cut]

    limit = timedelta(seconds=snapshot.spec.drain_seconds)
    assert all(views[stop.replica].withdrawn_at + limit <= NOW for stop in cut)


@PROFILE
@given(snapshot=snapshots())
def test_only_a_replica_that_gateways_know_of_is_withdrawn(snapshot):
    views = {view.uid: view for view in snapshot.replicas}

    withdrawals = of_kind(make_plan(snapshot), WithdrawReplica)

    assert all(held(views[one.replica], snapshot) for one in withdrawals)
    assert all(views[one.replica].phase.is_live for one in withdrawals)


@PROFILE
@given(snapshot=snapshots())
def test_without_gateways_nothing_waits(snapshot):
    snapshot = replace(snapshot, gateways=())

    after = carried_out(snapshot, make_plan(snapshot))

    assert not [view for view in after.replicas if view.phase is ReplicaPhase.WITHDRAWN]


@PROFILE
@given(snapshot=snapshots())
def test_once_every_gateway_has_confirmed_nothing_waits(snapshot):
    after = carried_out(snapshot, make_plan(snapshot))
    confirmed = tuple(
        replace(gateway, generation=100, busy=frozenset()) for gateway in after.gateways
    )
    later = replace(after, gateways=confirmed)

    stops = {stop.replica for stop in of_kind(make_plan(later), StopReplica)}

    assert {v.uid for v in later.replicas if v.phase is ReplicaPhase.WITHDRAWN} <= stops


@PROFILE
@given(snapshot=snapshots())
def test_a_stuck_gateway_holds_nothing_for_ever(snapshot):
    after = carried_out(snapshot, make_plan(snapshot))
    limit = timedelta(seconds=snapshot.spec.drain_seconds)
    newest = max((v.withdrawn_at for v in after.replicas if v.withdrawn_at), default=NOW)
    later = replace(after, now=max(NOW, newest) + limit)

    stops = {stop.replica for stop in of_kind(make_plan(later), StopReplica)}

    assert {v.uid for v in later.replicas if v.phase is ReplicaPhase.WITHDRAWN} <= stops

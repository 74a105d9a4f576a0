"""Any mixture of wishes and faults: the bounds hold after each step, and all ends as asked for."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.core.classify import take_census
from orchestrator.core.lifecycle import NodeState
from orchestrator.core.plan import DeploymentPhase, StopReplica
from orchestrator.core.planner import make_plan
from orchestrator.core.spec import DeploymentSpec, OnFailure, Strategy
from tests.simulator import World
from tests.strategies import policies

SETTLING_TIME = 300


class Fleet(RuleBasedStateMachine):
    """Drives one `World`; see its methods for what each rule does."""

    @initialize(
        replicas=st.integers(0, 5),
        policy=policies,
        on_failure=st.sampled_from(OnFailure),
        wait=st.sampled_from((0, 4)),
        nodes=st.integers(1, 3),
    )
    def boot(self, replicas, policy, on_failure, wait, nodes):
        spec = DeploymentSpec(
            replicas=replicas,
            policy=policy,
            on_failure=on_failure,
            min_ready_seconds=wait,
            progress_deadline_seconds=60,
            revision_history_limit=2,
        )
        self.world = World(spec, nodes)

    @rule(replicas=st.integers(0, 5))
    def scale(self, replicas):
        self.world.change(replicas=replicas)

    @rule(broken=st.booleans())
    def roll_out(self, broken):
        self.world.roll_out(broken=broken)

    @rule(policy=policies)
    def change_policy(self, policy):
        self.world.change(policy=policy)

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused):
        self.world.change(paused=paused)

    @rule(index=st.integers(0, 9))
    def crash(self, index):
        self.world.crash(index)

    @rule(name=st.sampled_from("abc"), cut_off=st.booleans())
    def cut_off_or_reconnect(self, name, cut_off):
        if name in self.world.nodes:
            self.world.nodes[name].cut_off = cut_off

    @rule(name=st.sampled_from("abc"), cordoned=st.booleans())
    def cordon_or_open(self, name, cordoned):
        if name in self.world.nodes:
            self.world.nodes[name].cordoned = cordoned
            self.world.dirty = True

    @rule(name=st.sampled_from("abc"), draining=st.booleans())
    def drain_or_open(self, name, draining):
        if name in self.world.nodes:
            self.world.nodes[name].draining = draining
            self.world.dirty = True

    @rule(name=st.sampled_from("abc"), stuck=st.booleans())
    def let_a_gateway_be_stuck_or_not(self, name, stuck):
        if name in self.world.nodes:
            self.world.nodes[name].stuck = stuck

    @rule(fault=st.sampled_from(("drop_reports", "repeat_reports", "reverse_reports")))
    def disturb_messages(self, fault):
        self.world.deliver_late()
        self.world.deliver_late()
        getattr(self.world, fault)()

    @rule(seconds=st.sampled_from((1, 2, 5, 20, 70)))
    def let_time_pass(self, seconds):
        self.world.advance(seconds)

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def every_pass_was_safe(self):
        for snapshot, starts, stops in self.world.starts_and_stops():
            _check_starts(snapshot, starts, stops)
            _check_floor(snapshot, stops)
        for snapshot, plan in self.world.plans:
            _check_routes(snapshot, plan)
        self.world.plans.clear()

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def each_replica_has_at_most_one_container(self):
        uids = [uid for node in self.world.nodes.values() for uid in node.containers]
        assert len(uids) == len(set(uids))

    def teardown(self):
        if not hasattr(self, "world"):
            return
        self.world.heal()
        self.world.roll_out()
        self.world.advance(SETTLING_TIME)
        self._check_as_asked_for()
        self.world.delete()
        self.world.advance(60)
        assert self.world.gone
        assert not any(node.containers for node in self.world.nodes.values())

    def _check_as_asked_for(self):
        world = self.world
        wanted = world.spec.replicas
        plan = make_plan(world.snapshot())
        assert plan.actions == ()
        assert plan.settled
        assert plan.verdict.phase is DeploymentPhase.AVAILABLE
        live = [view for view in world.replicas.values() if view.phase.is_live]
        assert [view.revision for view in live] == [world.current] * wanted
        running = sorted(uid for node in world.nodes.values() for uid in node.containers)
        assert running == sorted(view.uid for view in live)


def _check_starts(snapshot, starts, stops):
    live = take_census(snapshot).total
    owed = max(live, sum(view.desired for view in snapshot.revisions))
    ceiling = snapshot.spec.replicas + snapshot.spec.policy.max_surge
    assert live + len(starts) - len(stops) <= max(owed, ceiling)
    open_nodes = {
        node.name
        for node in snapshot.nodes
        if node.state is NodeState.READY and not (node.cordoned or node.draining)
    }
    assert {start.node for start in starts} - {None} <= open_nodes


def _check_routes(snapshot, plan):
    """Nothing is stopped that a gateway we wait for may still send to, unless its time is over."""
    views = {view.uid: view for view in snapshot.replicas}
    for stop in plan.actions:
        if isinstance(stop, StopReplica) and not stop.is_cut:
            view = views[stop.replica]
            assert not (view.routed and snapshot.gateways)
            assert all(g.generation >= view.routes_generation for g in snapshot.gateways)


def _check_floor(snapshot, stops):
    spec = snapshot.spec
    scales = snapshot.rollout.scaled_for != spec.replicas
    if scales or snapshot.deleting or spec.policy.strategy is Strategy.RECREATE:
        return
    serving = take_census(snapshot).available
    floor = max(0, spec.replicas - spec.policy.max_unavailable)
    assert len(serving - stops) >= min(len(serving), floor)


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    deadline=None,
)

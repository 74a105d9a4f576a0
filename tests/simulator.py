"""The core in a small world of its own: nodes, containers, messages and a clock, in one loop.

`World` stands in for the operations and the node agents. Nothing here is random: every fault is
asked for by name, so that a failing run shrinks and repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from orchestrator.core.lifecycle import NodeState, ReplicaPhase, RolloutState, may_follow
from orchestrator.core.plan import (
    FailRollout,
    FinishDeletion,
    StartReplica,
    StopReplica,
    WithdrawReplica,
)
from orchestrator.core.planner import make_plan
from orchestrator.core.snapshot import GatewayView, NodeView, RevisionView, RolloutView, Snapshot
from tests.factories import NOW, carried_out

READY_AFTER = 3
STOP_TAKES = 2
SILENT_AFTER = 15
LOST_AFTER = 45


@dataclass
class Container:
    """One running container of a replica; `broken` ones never become ready."""

    broken: bool
    started_at: object
    stops_at: object = None


@dataclass
class SimulatedNode:
    """A machine with its agent: what it runs, and when the control plane last heard of it.

    Its gateway has confirmed a generation of routes; a `stuck` one confirms nothing.
    """

    name: str
    heard_at: object
    cut_off: bool = False
    cordoned: bool = False
    draining: bool = False
    stuck: bool = False
    confirmed: int = 0
    sequence: int = 0
    containers: dict[str, Container] = field(default_factory=dict)


class World:
    """One deployment on a few nodes; `advance` lets time pass in steps of a second."""

    def __init__(self, spec, nodes=2):
        self.now = NOW
        self.spec = spec
        self.current = 1
        self.deleting = False
        self.gone = False
        self.revisions = (RevisionView(number=1, created_at=NOW),)
        self.broken_revisions: set[int] = set()
        self.rollout = RolloutView(progressed_at=NOW)
        self.replicas = {}
        self.nodes = {name: SimulatedNode(name, NOW) for name in "abcd"[:nodes]}
        self.reports: list[tuple[str, int, dict]] = []
        self.heard: dict[str, int] = {}
        self.plans = []
        self.made = 0
        self.routes_generation = 0
        self.dirty = True
        self.wake_at = None

    # What people do.

    def change(self, **fields):
        self.spec = replace(self.spec, **fields)
        self.dirty = True

    def roll_out(self, *, broken=False, is_rollback=False):
        number = max(view.number for view in self.revisions) + 1
        revision = RevisionView(number=number, created_at=self.now, is_rollback=is_rollback)
        self.revisions = (*self.revisions, revision)
        self.current = number
        if broken:
            self.broken_revisions.add(number)
        state = RolloutState.PROGRESSING
        self.rollout = replace(self.rollout, state=state, progressed_at=self.now)
        self.dirty = True

    def delete(self):
        self.deleting = self.dirty = True

    # What goes wrong.

    def crash(self, index):
        """Let a container die; its agent starts it again at once."""
        running = [(node, uid) for node in self.nodes.values() for uid in sorted(node.containers)]
        if running:
            node, uid = running[index % len(running)]
            node.containers[uid].started_at = self.now

    def drop_reports(self):
        self.reports.clear()

    def repeat_reports(self):
        self.reports += self.reports

    def reverse_reports(self):
        self.reports.reverse()

    # How time passes.

    def advance(self, seconds):
        for _ in range(seconds):
            self.now += timedelta(seconds=1)
            for node in self.nodes.values():
                self._let_agent_work(node)
            self._ingest()
            self._watch_nodes()
            self._route()
            self._confirm()
            if self.dirty or (self.wake_at is not None and self.wake_at <= self.now):
                self.reconcile()

    def deliver_late(self):
        """Let the agents work and report, but keep the reports on their way."""
        for node in self.nodes.values():
            self._let_agent_work(node)

    def snapshot(self):
        nodes = tuple(
            NodeView(
                name=node.name,
                state=self._state(node),
                cordoned=node.cordoned,
                draining=node.draining,
                lost_at=node.heard_at + timedelta(seconds=LOST_AFTER),
            )
            for node in self.nodes.values()
        )
        return Snapshot(
            now=self.now,
            deployment="default/web",
            spec=self.spec,
            current=self.current,
            deleting=self.deleting,
            rollout=self.rollout,
            revisions=self.revisions,
            replicas=tuple(view for view in self.replicas.values() if not view.phase.is_gone),
            nodes=nodes,
            gateways=tuple(
                GatewayView(node=node.name, generation=node.confirmed)
                for node in self.nodes.values()
                if self._state(node) is not NodeState.LOST
            ),
        )

    def reconcile(self):
        """Make one pass and carry it out."""
        snapshot = self.snapshot()
        plan = make_plan(snapshot)
        self.plans.append((snapshot, plan))
        self.dirty, self.wake_at = False, plan.wake_at
        if any(isinstance(action, FinishDeletion) for action in plan.actions):
            self.replicas, self.gone = {}, True
            return
        after = carried_out(snapshot, self._with_uids(plan))
        self.rollout, self.revisions = after.rollout, after.revisions
        self.replicas = {view.uid: view for view in self._named(snapshot, after)}
        self._unroute(snapshot)
        for action in plan.actions:
            if isinstance(action, FailRollout) and action.rollback_to is not None:
                broken = action.rollback_to in self.broken_revisions
                self.roll_out(broken=broken, is_rollback=True)

    def _with_uids(self, plan):
        stops = [action for action in plan.actions if isinstance(action, StopReplica)]
        unplaced = any(self.replicas[stop.replica].node is None for stop in stops)
        # Something vanished at once, without a report that would call for the next pass.
        self.dirty = self.dirty or unplaced
        return plan

    def _named(self, snapshot, after):
        known = {view.uid for view in snapshot.replicas}
        for view in after.replicas:
            if view.uid in known:
                yield view
            else:
                self.made += 1
                yield replace(view, uid=f"u{self.made:05}")

    def _state(self, node):
        silence = (self.now - node.heard_at).total_seconds()
        if silence > LOST_AFTER:
            return NodeState.LOST
        return NodeState.SUSPECT if silence > SILENT_AFTER else NodeState.READY

    def _let_agent_work(self, node):
        if not node.cut_off:
            self._follow_orders(node)
        for uid, container in list(node.containers.items()):
            if container.stops_at is not None and container.stops_at <= self.now:
                del node.containers[uid]
        if not node.cut_off:
            node.sequence += 1
            self.reports.append((node.name, node.sequence, self._account(node)))

    def _follow_orders(self, node):
        """Take the jobs; they are rows, so one that was lost is simply still there."""
        mine = {view.uid: view for view in self.replicas.values() if view.node == node.name}
        for uid, view in mine.items():
            if view.phase.is_live and uid not in node.containers:
                broken = view.revision in self.broken_revisions
                node.containers[uid] = Container(broken=broken, started_at=self.now)
        for uid, container in node.containers.items():
            unwanted = uid not in mine or not mine[uid].phase.is_live
            if unwanted and container.stops_at is None:
                container.stops_at = self.now + timedelta(seconds=STOP_TAKES)

    def _account(self, node):
        age = timedelta(seconds=READY_AFTER)
        return {
            uid: (not container.broken and container.started_at + age <= self.now)
            for uid, container in node.containers.items()
        }

    def _ingest(self):
        for name, sequence, account in self.reports:
            if sequence <= self.heard.get(name, 0):
                continue
            self.heard[name] = sequence
            node = self.nodes[name]
            self.dirty = self.dirty or self._state(node) is not NodeState.READY
            node.heard_at = self.now
            for view in [view for view in self.replicas.values() if view.node == name]:
                self._observe(view, account)
        self.reports = []

    def _observe(self, view, account):
        seen = view
        if view.uid not in account:
            if view.phase is ReplicaPhase.STOPPING:
                seen = replace(view, phase=ReplicaPhase.STOPPED)
        elif view.phase.is_live:
            ready = account[view.uid]
            ready_at = (view.ready_at or self.now) if ready else None
            phase = ReplicaPhase.RUNNING
            if may_follow(current=view.phase, new=phase) or view.phase is phase:
                seen = replace(view, phase=phase, ready=ready, ready_at=ready_at)
        self._keep(view, seen)

    def _keep(self, before, after):
        if after != before:
            self.replicas[after.uid] = after
            self.dirty = True

    def _watch_nodes(self):
        for node in self.nodes.values():
            if self._state(node) is NodeState.READY:
                continue
            lost = self._state(node) is NodeState.LOST
            for view in [view for view in self.replicas.values() if view.node == node.name]:
                if lost and view.phase.is_live:
                    self._keep(view, replace(view, ready=False, ready_at=None))

    def _route(self):
        """Send new connections to whom is ready, with the next generation if that changed."""
        wait = timedelta(seconds=self.spec.min_ready_seconds)
        changed = [
            view
            for view in self.replicas.values()
            if view.routed is not (view.ready and view.ready_at + wait <= self.now)
        ]
        if changed:
            self.routes_generation += 1
        for view in changed:
            self.replicas[view.uid] = replace(
                view, routed=not view.routed, routes_generation=self.routes_generation
            )

    def _unroute(self, before):
        """Note with the next generation that replicas were withdrawn."""
        routed = {view.uid for view in before.replicas if view.routed}
        for view in list(self.replicas.values()):
            if view.uid in routed and view.phase is ReplicaPhase.WITHDRAWN:
                number = self.routes_generation + 1
                self.replicas[view.uid] = replace(view, routes_generation=number)
        self.routes_generation += 1

    def _confirm(self):
        """Let gateways that are heard confirm the routes."""
        for node in self.nodes.values():
            if not (node.cut_off or node.stuck) and node.confirmed < self.routes_generation:
                node.confirmed = self.routes_generation
                self.dirty = self.dirty or any(
                    view.phase is ReplicaPhase.WITHDRAWN for view in self.replicas.values()
                )

    def heal(self):
        """End every fault: all nodes are back and open, and nothing is held or broken."""
        for node in self.nodes.values():
            node.cut_off = node.cordoned = node.draining = node.stuck = False
        self.drop_reports()
        self.change(paused=False)

    def starts_and_stops(self):
        """Return each pass with the starts it decided on, and who stops or is withdrawn."""
        for snapshot, plan in self.plans:
            starts = [action for action in plan.actions if isinstance(action, StartReplica)]
            kinds = StopReplica | WithdrawReplica
            stops = {a.replica for a in plan.actions if isinstance(a, kinds)}
            yield snapshot, starts, stops

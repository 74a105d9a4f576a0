"""Nodes played by a test: their reports, at a time of the test's own, and the passes after them."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from orchestrator.models import Deployment, Node, Replica
from orchestrator.operations import ingest, reconcile, sweep
from worker import protocol

FACTS = protocol.NodeFacts(runtimes=("in-memory",))


class Nodes:
    """Plays the agents of all nodes."""

    def __init__(self) -> None:
        # In the past, so that what requests see at their own time has happened.
        self.now = timezone.now() - timedelta(hours=1)
        self.sequence = 0

    def say(self, node: str, *statuses: protocol.ReplicaStatus, full: bool = False) -> None:
        """Send a report of a node."""
        self.sequence += 1
        message = protocol.NodeReport(
            node=node, boot=1, sequence=self.sequence, sent_at=0.0, replicas=statuses, full=full
        )
        ingest.ingest(message, now=self.now)

    def join(self, node: str) -> None:
        """Let a node be heard for the first time."""
        message = protocol.NodeReport(
            node=node, boot=1, sequence=0, sent_at=0.0, facts=FACTS, replicas=()
        )
        ingest.ingest(message, now=self.now)
        Node.objects.update(runtimes=["in-memory"])

    def runs(self, replica: Replica) -> None:
        """Let a replica run and be ready, then let the planner look."""
        restarts = Replica.objects.get(pk=replica.pk).restarts
        self.say(str(replica.node_id), status(replica, restarts, ready=True))
        self.look(replica)

    def fails(self, replica: Replica, times: int, *, apart: int = 1) -> None:
        """Let a replica fail so often, a report and a pass each time."""
        for _ in range(times):
            self.now += timedelta(seconds=apart)
            restarts = Replica.objects.get(pk=replica.pk).restarts + 1
            self.say(str(replica.node_id), status(replica, restarts, ready=False))
            self.look(replica)

    def look(self, replica: Replica) -> None:
        """Run a pass over the replica's deployment."""
        reconcile.run(replica.deployment_id, now=self.now)

    def settle(self) -> None:
        """Let everything that was started serve and what was stopped be gone, until all rests."""
        for _ in range(40):
            self.now += timedelta(seconds=1)
            coming = Replica.objects.filter(phase="assigned").exclude(node=None)
            leaving = Replica.objects.filter(phase="stopping")
            told = [status(row, 0, ready=True) for row in coming]
            gone = [ended(row) for row in leaving]
            nodes = [str(row.node_id) for row in (*coming, *leaving)]
            for node, told_one in zip(nodes, (*told, *gone), strict=True):
                self.say(node, told_one)
            for pk in sweep.owed(now=self.now):
                reconcile.run(pk, now=self.now)
            if not sweep.owed(now=self.now):
                return
        raise AssertionError(f"not at rest: {list(Deployment.objects.values())}")


def status(replica: Replica, restarts: int, *, ready: bool) -> protocol.ReplicaStatus:
    """Return what a node says of a replica that runs, ready or crashed."""
    return protocol.ReplicaStatus(
        uid=protocol.ReplicaUid(replica.uid),
        epoch=1,
        phase=protocol.NodePhase.RUNNING,
        ready=ready,
        restarts=restarts,
        reason="Running" if ready else "CrashLoopBackOff",
    )


def ended(replica: Replica) -> protocol.ReplicaStatus:
    """Return what a node says of a replica that it was asked to stop."""
    return protocol.ReplicaStatus(
        uid=protocol.ReplicaUid(replica.uid), epoch=1, phase=protocol.NodePhase.STOPPED
    )

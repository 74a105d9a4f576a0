"""What the overview shows: what needs somebody, what moves, and the sums; a few light queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Count, Q, Sum

from orchestrator.core.lifecycle import GONE_PHASES, NodeState, ReplicaPhase
from orchestrator.core.plan import DeploymentPhase
from orchestrator.models import Deployment, Node, Replica
from orchestrator.queries import deployments
from orchestrator.queries.deployments import DeploymentRecord
from orchestrator.queries.replicas import TROUBLE

SHOWN = 20
BAR = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A deployment somebody should look at, and the replica that shows best why (if any)."""

    deployment: DeploymentRecord
    replica: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Totals over everything."""

    deployments: int
    wanted: int
    ready: int
    nodes: int
    nodes_ready: int
    cpu_millis: int
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoad:
    """How many replicas of each phase a node carries; `unready` are running but not ready."""

    name: str
    ready: int
    coming: int
    unready: int
    stopping: int

    @property
    def total(self) -> int:
        """Return how many replicas there are."""
        return self.ready + self.coming + self.unready + self.stopping

    @property
    def shares(self) -> list[tuple[str, range]]:
        """Return each kind with its part of a bar of at most `BAR` pieces; none is lost."""
        scale = min(1.0, BAR / max(1, self.total))
        kinds = ("ready", "coming", "unready", "stopping")
        counts = ((kind, getattr(self, kind)) for kind in kinds)
        return [(kind, range(max(1, round(n * scale)))) for kind, n in counts if n]


def phase_counts(wanted: Mapping[str, str] | None = None) -> dict[str, int]:
    """Return how many deployments there are in each phase, after the other filters."""
    rows = deployments.matching({**(wanted or {}), "phase": ""}).order_by()
    return dict(rows.values_list("phase").annotate(Count("pk")))


def troubles() -> list[Trouble]:
    """Return what needs somebody, the worst first."""
    rows = Replica.objects.filter(TROUBLE).order_by("-restarts")
    worst: dict[int, tuple[str, str, str]] = {}
    for pk, uid, phase, reason, message, waiting in rows.values_list(
        "deployment_id", "uid", "phase", "reason", "message", "waiting"
    )[:500]:
        text = waiting if phase == ReplicaPhase.PENDING else message
        worst.setdefault(pk, (uid, reason, text))
    unwell = Q(phase__in=(DeploymentPhase.FAILED, DeploymentPhase.DEGRADED))
    found = Deployment.objects.filter(unwell | Q(pk__in=worst)).exclude(deleting=True)
    rank = {DeploymentPhase.FAILED: 0, DeploymentPhase.DEGRADED: 1}
    ordered = sorted(found, key=lambda row: (rank.get(DeploymentPhase(row.phase), 2), str(row)))
    return [
        Trouble(
            deployment=deployments.record(row),
            replica=worst.get(row.pk, ("", "", ""))[0],
            reason=worst.get(row.pk, ("", "", ""))[1],
            message=worst.get(row.pk, ("", "", ""))[2],
        )
        for row in ordered[:SHOWN]
    ]


def moving() -> list[DeploymentRecord]:
    """Return the deployments that are on their way somewhere, or held there."""
    phases = (DeploymentPhase.PROGRESSING, DeploymentPhase.PAUSED, DeploymentPhase.DELETING)
    rows = Deployment.objects.filter(phase__in=phases).order_by("-changed_at")
    return [deployments.record(row) for row in rows[:SHOWN]]


def sums() -> Sums:
    """Return the totals (2 queries)."""
    asked = Deployment.objects.aggregate(
        n=Count("pk"), wanted=Sum("replicas"), ready=Sum("ready_replicas")
    )
    held = Node.objects.aggregate(
        n=Count("pk"),
        ready=Count("pk", filter=Q(state=NodeState.READY)),
        cpu=Sum("cpu_millis"),
        memory=Sum("memory_bytes"),
    )
    return Sums(
        deployments=asked["n"],
        wanted=asked["wanted"] or 0,
        ready=asked["ready"] or 0,
        nodes=held["n"],
        nodes_ready=held["ready"],
        cpu_millis=held["cpu"] or 0,
        memory_bytes=held["memory"] or 0,
    )


def loads() -> list[NodeLoad]:
    """Return what each node carries, by name (1 query)."""
    rows = Replica.objects.exclude(phase__in=GONE_PHASES).exclude(node=None).order_by()
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for node, phase, ready, number in rows.values_list("node_id", "phase", "ready").annotate(
        Count("pk")
    ):
        found[node][_kind(phase, ready=ready)] += number
    return [
        NodeLoad(
            name=name,
            ready=kinds["ready"],
            coming=kinds["coming"],
            unready=kinds["unready"],
            stopping=kinds["stopping"],
        )
        for name, kinds in sorted(found.items())
    ]


def _kind(phase: str, *, ready: bool) -> str:
    if phase == ReplicaPhase.STOPPING:
        return "stopping"
    if phase == ReplicaPhase.RUNNING:
        return "ready" if ready else "unready"
    return "coming"

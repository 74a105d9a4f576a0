"""A cluster as large as we promise to show quickly, written straight into the database.

One deployment of each kind has the name that `tests.pages` knows; the rest are there for the load.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import cycle, islice

from django.db.models import F

from orchestrator.core import samples
from orchestrator.core.lifecycle import ReplicaPhase, RolloutState
from orchestrator.core.plan import DeploymentPhase
from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.manifest import parse
from orchestrator.models import (
    Autoscaler,
    Deployment,
    Event,
    Gateway,
    Job,
    JobOperation,
    JobState,
    MetricBlock,
    Namespace,
    Node,
    Replica,
    Revision,
    RevisionLabel,
    ScalingDecision,
    Severity,
)
from orchestrator.operations import applying
from tests.cluster import change, manifest
from tests.traffic import ingress, service

NAMES = ("web", "crashing", "stuck", "held")
REVISIONS = 3
GIB = 2**30


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    deployments: int = 200
    replicas_each: int = 10
    nodes: int = 3
    events: int = 5000
    jobs: int = 4000


def seed(now: datetime, size: Size | None = None) -> dict[str, str]:
    """Fill an empty database; return the ids that stand in the addresses of pages."""
    size = size or Size()
    namespace, _ = Namespace.objects.get_or_create(name="default", defaults={"created_at": now})
    nodes = Node.objects.bulk_create(_nodes(size.nodes, now))
    deployments = Deployment.objects.bulk_create(_deployments(namespace, size, now))
    revisions = Revision.objects.bulk_create(_revisions(deployments, now))
    replicas = Replica.objects.bulk_create(_replicas(revisions, nodes, size, now))
    _traffic(revisions, now)
    events = Event.objects.bulk_create(_events(replicas, size, now))
    latest = Event.objects.filter(pk__gt=events[size.events // 2].pk)
    latest.update(cause=F("pk") - size.events // 2)
    jobs = Job.objects.bulk_create(_jobs(replicas, events, size, now))
    _watch(deployments[1], now)
    MetricBlock.objects.bulk_create(_blocks(deployments[0], replicas[:3], now))
    web = [replica for replica in replicas if replica.deployment.name == "web"]
    return {
        "replica": web[0].uid,
        "job": jobs[-1].uid,
        "event": str(events[-1].pk),
        "ingress": "site",
    }


def _traffic(revisions: list[Revision], now: datetime) -> None:
    """Let a service select the replicas of `web`, another nobody, and a host lead to the first."""
    RevisionLabel.objects.bulk_create(
        RevisionLabel(revision=revision, pair="app=web")
        for revision in revisions
        if revision.deployment.name == "web"
    )
    texts = [service(type="NodePort"), service(name="lonely", selector="{app: none}"), ingress()]
    applying.apply(parse("---".join(texts)), change(now=now))
    Event.objects.all().delete()
    message = "caddy is not installed"
    for name, text in (("n1", ""), ("n2", message)):
        Gateway.objects.create(
            node_id=name, generation=1, ways=["nftables"], message=text, confirmed_at=now
        )


def _nodes(count: int, now: datetime) -> Iterator[Node]:
    for index in range(count):
        yield Node(
            name=f"n{index + 1}",
            labels={"zone": f"z{index}"},
            runtimes=["docker", "sandbox"],
            cpu_millis=8000,
            memory_bytes=32 * GIB,
            release="0.1.0",
            joined_at=now - timedelta(days=30),
            seen_at=now,
        )


def _watch(deployment: Deployment, now: datetime) -> None:
    """Let an autoscaler own the number of one deployment, and have decided a while."""
    name = deployment.name
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": name}, "maxReplicas": 20}
    autoscaler = Autoscaler.objects.create(
        uid="scaler",
        namespace_id=deployment.namespace_id,
        name=name,
        target=name,
        manifest={
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name},
            "spec": spec,
        },
        created_at=now,
        changed_at=now,
    )
    Deployment.objects.filter(pk=deployment.pk).update(
        scaled_by=name, autoscaled=deployment.replicas
    )
    ScalingDecision.objects.bulk_create(
        ScalingDecision(
            autoscaler=autoscaler,
            at=now - timedelta(seconds=5 * index),
            current=10,
            proposed=9,
            desired=10,
            word="ScaleDownStabilized",
            message="the number stays 10: cpu: 72 % on average of 10 replicas",
        )
        for index in range(60)
    )


def _blocks(
    deployment: Deployment, replicas: list[Replica], now: datetime
) -> Iterator[MetricBlock]:
    """Measure some replicas of one deployment for an hour."""
    measured = {
        replica.uid: (deployment.pk, [120, 30 << 20, 900, 400, 1, 500, 64 << 20])
        for replica in replicas
    }
    kept = samples.block([700, GIB, 5000, 4000], measured)
    for minute in range(60):
        yield MetricBlock(
            node="n1",
            seconds=60,
            at=now - timedelta(minutes=minute),
            names=samples.names_of(kept),
            samples=kept,
        )


def _deployments(namespace: Namespace, size: Size, now: datetime) -> Iterator[Deployment]:
    names = [*NAMES, *(f"load-{index:03}" for index in range(size.deployments))]
    phases = cycle(DeploymentPhase)
    pattern = parse(manifest(replicas=size.replicas_each))[0].written
    for name in names[: size.deployments]:
        written = {**pattern, "metadata": {**pattern["metadata"], "name": name}}
        phase = next(phases)
        yield Deployment(
            uid=f"uid-{name}",
            namespace=namespace,
            name=name,
            manifest=written,
            replicas=size.replicas_each,
            revision=REVISIONS,
            generation=REVISIONS,
            observed_generation=REVISIONS,
            settled=True,
            rollout_state=RolloutState.PROGRESSING,
            progressed_at=now,
            phase=phase,
            message=f"{name} is in phase {phase}",
            live_replicas=size.replicas_each,
            updated_replicas=size.replicas_each // 2,
            ready_replicas=size.replicas_each - 1,
            available_replicas=size.replicas_each - 1,
            created_at=now - timedelta(days=3),
            changed_at=now - timedelta(hours=1),
        )


def _revisions(deployments: list[Deployment], now: datetime) -> Iterator[Revision]:
    numbers = range(1, REVISIONS + 1)
    read = [parse(manifest(version=str(number)))[0].full for number in numbers]
    templates = [manifests.template_of(full) for full in read]
    for deployment in deployments:
        for number, template in zip(numbers, templates, strict=True):
            is_current = number == REVISIONS
            yield Revision(
                deployment=deployment,
                number=number,
                template=template,
                rollout_hash=manifests.rollout_hash(template),
                desired=5 if number > 1 else 0,
                author="eve",
                reason=f"version {number}",
                created_at=now - timedelta(days=REVISIONS - number),
                completed_at=None if is_current else now - timedelta(days=REVISIONS - number),
            )


def _replicas(
    revisions: list[Revision], nodes: list[Node], size: Size, now: datetime
) -> Iterator[Replica]:
    """Halve each deployment between its latest two revisions; one replica is not ready."""
    places = cycle(nodes)
    for revision in revisions:
        if revision.number == 1:
            continue
        for slot in range(size.replicas_each // 2):
            is_ready = slot > 0 or revision.number < REVISIONS
            yield Replica(
                uid=f"{revision.deployment.pk:06x}{revision.number:03x}{slot:03x}",
                deployment=revision.deployment,
                revision=revision,
                slot=slot,
                node=next(places),
                phase=ReplicaPhase.RUNNING if is_ready else ReplicaPhase.STARTING,
                ready=is_ready,
                ready_at=now - timedelta(hours=1) if is_ready else None,
                reason="" if is_ready else "CrashLoopBackOff",
                message="" if is_ready else "exit code 3; next try in 20 s",
                restarts=0 if is_ready else 4,
                exit_code=None if is_ready else 3,
                log_tail="" if is_ready else "cannot read its configuration\n" * 20,
                address="172.17.0.2",
                created_at=now - timedelta(hours=2),
                started_at=now - timedelta(hours=2),
            )


def _events(replicas: list[Replica], size: Size, now: datetime) -> Iterator[Event]:
    for index, replica in enumerate(_spread(replicas, size.events)):
        is_bad = index % 7 == 0
        yield Event(
            at=now - timedelta(seconds=size.events - index),
            reason="BackOff" if is_bad else "Running",
            message=f"replica {replica.uid} of {replica.deployment.name} says number {index}",
            severity=Severity.WARNING if is_bad else Severity.NORMAL,
            actor=f"node {replica.node_id}" if index % 3 else "eve",
            namespace="default",
            deployment=replica.deployment.name,
            revision=replica.revision.number,
            replica=replica.uid,
            node=str(replica.node_id),
        )


def _jobs(replicas: list[Replica], events: list[Event], size: Size, now: datetime) -> Iterator[Job]:
    kinds = zip(cycle(JobOperation), cycle(JobState), strict=False)
    for index, replica in enumerate(_spread(replicas, size.jobs)):
        operation, state = next(kinds)
        yield Job(
            uid=f"job-{index:08}",
            node_id=str(replica.node_id),
            replica=replica,
            replica_uid=replica.uid,
            namespace="default",
            deployment=replica.deployment.name,
            operation=operation,
            payload={"job": f"job-{index:08}"},
            state=state,
            attempts=1,
            reason="RolloutSurge",
            message="revision 3 should have 5 replicas",
            event=events[index % len(events)],
            created_at=now - timedelta(seconds=size.jobs - index),
            sent_at=now - timedelta(seconds=size.jobs - index),
        )


def _spread(replicas: list[Replica], count: int) -> Iterator[Replica]:
    """Return so many replicas, every second of them one of `web`."""
    web = cycle(replica for replica in replicas if replica.deployment.name == "web")
    pairs = zip(web, cycle(replicas), strict=False)
    return islice((replica for pair in pairs for replica in pair), count)

"""One control plane and one node in this process: eager tasks, in-memory containers, no broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.utils import timezone

from orchestrator.celery import app as control_app
from orchestrator.manifests.manifest import parse
from orchestrator.models import Deployment, NodeIdentity, Replica
from orchestrator.operations import applying, mail, namespaces, reconcile, transport
from orchestrator.operations.events import Change
from tests.letters import report_in
from worker import app as node_app
from worker import protocol, tasks
from worker.config import WorkerConfig
from worker.identity import Identity, Keys
from worker.labels import Owner, container_name
from worker.runtimes.memory import InMemoryRuntime

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  annotations: {{kijabi.dev/on-failure: {on_failure}}}
spec:
  replicas: {replicas}
  progressDeadlineSeconds: {deadline}
  strategy: {{type: {strategy}}}
  template:
    spec:
      containers:
      - name: main
        image: {image}
        args: ["{version}"]
        resources: {{limits: {{memory: {memory}}}}}
"""


def manifest(**values: Any) -> str:
    """Return a manifest with everything else at a simple default."""
    defaults = {
        "name": "web",
        "replicas": 3,
        "image": "app:1",
        "version": "1",
        "memory": "64Mi",
        "deadline": 600,
        "strategy": "RollingUpdate",
        "on_failure": "rollback",
    }
    return MANIFEST.format(**defaults | values)


def change(actor: str = "tester", now: datetime | None = None) -> Change:
    """Return a change made now."""
    return Change(actor=actor, now=now or timezone.now())


def enrolled(name: str) -> Identity:
    """Return the identity of a node that the control plane knows."""
    keys = Keys.make()
    check_key, seal_key = keys.public
    known = {"check_key": check_key, "seal_key": seal_key, "issued_at": timezone.now()}
    NodeIdentity.objects.update_or_create(name=name, defaults=known)
    return Identity(node=name, cluster="test", broker="", control_key=mail.control_key(), keys=keys)


class Cluster:
    """Drives both sides; `runtime` is where faults are made."""

    def __init__(self, home: Path, name: str = "n1") -> None:
        config = WorkerConfig(node=name, cluster="test", home=home)
        self.runtime = InMemoryRuntime(Owner(cluster="test", node=name))
        self.identity = enrolled(name)
        runtimes = {"in-memory": self.runtime}
        self.node = node_app.build(config, self.identity, runtimes, self._send)
        self.reports: list[dict[str, object]] = []
        self.deaf = False

    def _send(self, task: str, envelope: dict[str, str]) -> bool:
        if self.deaf:
            return False
        if task == protocol.REPORT_TASK:
            self.reports.append(report_in(envelope))
        return transport.publish(task, protocol.CONTROL_QUEUE, {"envelope": envelope})

    def join(self) -> None:
        """Let the node say that it is there."""
        self.node.reporter.ask_full()
        self.settle()

    def settle(self) -> None:
        """Run everything that is due on the node, and report it."""
        self.node.agent.look_again()
        self.node.agent.run_until_idle()
        self.node.reporter.flush()

    def apply(self, text: str) -> list[applying.Saved]:
        """Apply manifests as a person does."""
        return applying.apply(parse(text), change())

    def pass_at(self, later_seconds: float, name: str = "web") -> reconcile.Pass:
        """Run a pass as if so many seconds had gone by."""
        row = self.deployment(name)
        return reconcile.run(row.pk, now=timezone.now() + timedelta(seconds=later_seconds))

    def deployment(self, name: str = "web") -> Deployment:
        """Return the row as it is now."""
        return Deployment.objects.get(name=name)

    def live(self, name: str = "web") -> list[Replica]:
        """Return the replicas that count."""
        rows = Replica.objects.filter(deployment__name=name).select_related("revision")
        gone = ("stopping", "stopped", "lost")
        return list(rows.exclude(phase__in=gone).order_by("revision__number", "slot"))

    def containers(self) -> list[str]:
        """Return the names of the containers that really run."""
        return sorted(info.name for info in self.runtime.list())

    def container_of(self, replica: Replica) -> str:
        """Return the container's name."""
        return container_name(protocol.ReplicaUid(replica.uid), replica.epoch)


@contextmanager
def running(home: Path) -> Iterator[Cluster]:
    """Yield a cluster whose node has joined."""
    cluster = Cluster(home)
    apps = (control_app, node_app.app)
    for app in apps:
        app.conf.task_always_eager = True
    transport.eager_applications[:] = [node_app.app]
    node_app.install(cluster.node)
    namespaces.ensure("default", change())
    cluster.join()
    try:
        yield cluster
    finally:
        transport.eager_applications.clear()
        for app in apps:
            app.conf.task_always_eager = False
        cluster.node.close()


__all__ = ["Cluster", "change", "manifest", "running", "tasks"]

"""How soon a replica that is ready gets traffic, and one that is to stop gets none any more.

    python3 manage.py bench rotation [--services 1000] [--rounds 100]

A real broker, control worker and node worker (its containers are pretended, its kernel is not: as
root, in a network namespace of its own), with so many services of ten endpoints besides. From the
result of the probe, or the call that stops the replica, until the kernel says (`nft monitor`) that
its rules lead there, or no longer do. The broker says (`MONITOR`) when report and routes came by.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import django
import redis
from django.core.management import call_command

from tests import broker, networks
from tests.networks import NODE
from tests.traffic import service

ROOT = Path(__file__).resolve().parents[2]
NAME, FIRST_PORT, REPLICAS, PATIENCE = "bench", 9000, 8, 90.0
MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      nodeSelector: {{kijabi.dev/bench: "yes"}}
      containers:
      - name: main
        image: app:1
        ports: [{{containerPort: {port}}}]
        readinessProbe:
          exec: {{command: [ready, {name}]}}
          periodSeconds: 1
          failureThreshold: 1
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("services", 1000), ("rounds", 100)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    if why := networks.why_missing():
        sys.exit(f"this benchmark cannot run: {why}")
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kijabi-bench-")))
        # Everybody is in a network namespace of our own, with rules that touch nothing else.
        stack.enter_context(networks.network(0)).enter(NODE)
        url = stack.enter_context(broker.running(home))
        os.environ |= {"KIJABI_HOME": str(home), "REDIS_URL": url, "KIJABI_NODE": NAME}
        # Nodes that are only rows must not be missed.
        os.environ |= {"KIJABI_SUSPECT_SECONDS": "50000", "KIJABI_LOST_SECONDS": "100000"}
        os.environ |= {"KIJABI_CLUSTER": "bench"}
        os.environ |= {"KIJABI_NODE_LABELS": "kijabi.dev/bench=yes"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        measure(options, Seen(home / "switches"), stack)


@dataclass
class Seen:
    """What the node, the broker and the kernel have told, with their times."""

    switches: Path
    kernel: list[tuple[float, bool, int]] = field(default_factory=list)
    reports: list[float] = field(default_factory=list)
    routes: list[float] = field(default_factory=list)

    def watch_kernel(self) -> subprocess.Popen[str]:
        words = ["stdbuf", "-oL", "nft", "monitor", "elements"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read_kernel, args=(process,), daemon=True).start()
        return process

    def _read_kernel(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            now = time.time()
            if found := re.match(r"(add|delete) element inet \S+ tcp-ends4 .*\. (9\d{3})\b", line):
                self.kernel.append((now, found[1] == "add", int(found[2])))

    def watch_broker(self) -> None:
        threading.Thread(target=self._read_broker, daemon=True).start()

    def _read_broker(self) -> None:
        patient = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None)
        # It ends with the broker.
        with suppress(redis.ConnectionError), patient.monitor() as monitor:
            for command in monitor.listen():
                text = str(command["command"])
                if text.startswith("LPUSH control ") and "ingest_report" in text:
                    self.reports.append(float(command["time"]))
                elif text.startswith(f"LPUSH node.{NAME} ") and "set_routes" in text:
                    self.routes.append(float(command["time"]))

    def probe(self, name: str, *, ready: bool, since: float) -> float:
        """Return when the probe's result changed."""
        wanted = f"{name} {ready:d} "

        def look() -> float | None:
            lines = (self.switches / "log").read_text().splitlines()
            times = [float(one.rpartition(" ")[2]) for one in lines if one.startswith(wanted)]
            return next((at for at in times if at >= since), None)

        return wait_for(look, f"a probe of {name}")

    def leads(self, port: int, *, there: bool, since: float) -> float:
        """Return when the kernel's rules led to a port, or no longer did."""
        return wait_for(
            lambda: next(
                (at for at, a, p in self.kernel if (a, p) == (there, port) and at >= since), None
            ),
            f"the kernel to {'have' if there else 'lose'} {port}",
        )


def wait_for(look: Callable[[], float | None], what: str) -> float:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.01)
    sys.exit(f"waited in vain for {what}")


def measure(options: argparse.Namespace, seen: Seen, stack: ExitStack) -> None:
    seen.switches.mkdir()
    (seen.switches / "log").touch()
    names = {f"bench-{number}": FIRST_PORT + number for number in range(REPLICAS)}
    prepare(options.services)
    stack.enter_context(running(control_words()))
    words = [sys.executable, "-m", "tests.benchmarks.rotation_node", str(seen.switches)]
    stack.enter_context(running(words))
    monitor = seen.watch_kernel()
    stack.callback(monitor.kill)
    seen.watch_broker()
    began = time.time()
    apply_all(names)
    for name, port in names.items():
        (seen.switches / name).touch()
        seen.leads(port, there=True, since=began)
    probes(options.rounds, names, seen)
    stops(options.rounds, names, seen)


def prepare(services: int) -> None:
    """Fill the database with others' services, and let the node join."""
    from django.utils import timezone

    from orchestrator.manifests.manifest import parse
    from orchestrator.models import Autoscaler
    from orchestrator.operations import applying
    from tests.benchmarks import routes
    from tests.cluster import change, enrolled
    from tests.seeding import Size, seed
    from worker.identity import path_in

    seed(timezone.now(), Size(deployments=services, nodes=3, events=10, jobs=10))
    Autoscaler.objects.all().delete()
    names = routes.deployments_and_label_them()
    applying.apply(
        parse("---".join(service(name=n, selector=f"{{app: {n}}}") for n in names)), change()
    )
    identity = replace(enrolled(NAME), cluster="bench", broker=os.environ["REDIS_URL"])
    identity.save(path_in(Path(os.environ["KIJABI_HOME"]), NAME))


def apply_all(names: dict[str, int]) -> None:
    from orchestrator.manifests.manifest import parse
    from orchestrator.models import Deployment, Gateway
    from orchestrator.operations import applying, dispatch
    from tests.cluster import change

    wait_for(lambda: 1.0 if Gateway.objects.filter(node=NAME).exists() else None, "the node")
    texts = []
    for name, port in names.items():
        texts.append(MANIFEST.format(name=name, port=port))
        ports = f"[{{port: 80, targetPort: {port}}}]"
        texts.append(service(name=name, selector=f"{{app: {name}}}", ports=ports))
    applying.apply(parse("---".join(texts)), change())
    for row in Deployment.objects.filter(name__in=names):
        dispatch.nudge(row.pk)


def probes(rounds: int, names: dict[str, int], seen: Seen) -> None:
    """Let one replica after the other cease to be ready, and become ready again."""
    passed: list[tuple[float, float]] = []
    unready = []
    for number in range(rounds):
        name, port = list(names.items())[number % len(names)]
        before = time.time()
        (seen.switches / name).unlink()
        at = seen.probe(name, ready=False, since=before)
        unready.append(seen.leads(port, there=False, since=at) - at)
        time.sleep(0.1)
        before = time.time()
        (seen.switches / name).touch()
        at = seen.probe(name, ready=True, since=before)
        passed.append((at, seen.leads(port, there=True, since=at)))
        time.sleep(0.1)
    show("probe fails → out of rotation on its node", unready)
    show("probe passes → in rotation on its node", [ended - began for began, ended in passed])
    # Only now, as what the broker says is read by another thread.
    heard = {"its report is": seen.reports, "routes for other nodes are": seen.routes}
    for what, times in heard.items():
        told = [next((at - began for at in times if at >= began), PATIENCE) for began, _ in passed]
        show(f"probe passes → {what} at the broker", told)


def stops(rounds: int, names: dict[str, int], seen: Seen) -> None:
    """Take one deployment after the other down to no replica, and up again."""
    from orchestrator.models import Replica
    from orchestrator.operations import deployments
    from tests.cluster import change

    scaled, asked, left = [], [], []
    for number in range(rounds):
        name, port = list(names.items())[number % len(names)]
        live = Replica.objects.filter(deployment__name=name, phase="running", ready=True)
        wait_for(lambda live=live: 1.0 if live.exists() else None, f"a replica of {name}")
        at = time.time()
        deployments.scale("default", name, 0, change())
        asked.append((at, time.time() - at))
        gone = seen.leads(port, there=False, since=at)
        scaled.append(gone - at)
        left.append(gone)
        deployments.scale("default", name, 1, change())
        seen.leads(port, there=True, since=at)
        # Until what follows of both has been done: one stop is measured, not several at once.
        time.sleep(0.5)
    show("stop asked for → out of rotation", scaled)
    show("  of it until the call returns", [took for _, took in asked])
    told = [next((one - at for one in seen.routes if one >= at), PATIENCE) for at, _ in asked]
    show("  of it until the routes are at the broker", told)
    took = [
        max(0.0, gone - at - until) for gone, (at, _), until in zip(left, asked, told, strict=True)
    ]
    show("  of it on the node, from the broker to the kernel", took)


def show(what: str, seconds: list[float]) -> None:
    found = sorted(one * 1000 for one in seconds)
    p99 = found[min(len(found) - 1, round(len(found) * 0.99))]
    print(f"{statistics.median(found):8.1f} ms, p99 {p99:.1f}: {what} ({len(found)})")


def control_words() -> list[str]:
    words = ["-m", "celery", "--workdir", str(ROOT), "-A", "orchestrator.celery", "worker"]
    words += ["-Q", "control", "-P", "threads", "-c", "1", "-n", "control@kijabi"]
    words += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    return [sys.executable, *words, "--loglevel", "WARNING"]


@contextmanager
def running(words: list[str]) -> Iterator[None]:
    env = {**os.environ, "KIJABI_BEAT": "1", "PYTHONPATH": str(ROOT)}
    with (Path(os.environ["KIJABI_HOME"]) / "processes.log").open("ab") as log:
        process = subprocess.Popen(words, env=env, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()

"""How long series of use and requests take with a day of many nodes' measurements.

    python3 manage.py bench series [--nodes 300] [--replicas 10] [--rounds 3]

SQLite in a folder of its own (or DATABASE_URL, an empty database), seeded with what that many nodes
keep of a day: a block each five seconds, minute and ten minutes, as old as they get. Each node has
so many replicas, each of another deployment; the one that is asked for has three, on three nodes,
and requests by two gateways.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command

from tests import broker

HOURS = (0.25, 1, 6, 24)
SAMPLE = [120, 30 << 20, 900, 400, 1, 500, 64 << 20]
TIMES = [0] * 13
AUTOSCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {kind: Deployment, name: web}
  maxReplicas: 9
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}}
  - type: Pods
    pods: {metric: {name: requests_per_second}, target: {type: AverageValue, averageValue: "10"}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("nodes", 300), ("replicas", 10), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kijabi-bench-") as home,
        broker.running(Path(home)) as url,
    ):
        os.environ |= {"KIJABI_HOME": home, "REDIS_URL": url}
        os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        measure(options)


def measure(options: argparse.Namespace) -> None:
    from django.utils import timezone

    from orchestrator.models import MetricBlock, Replica
    from orchestrator.operations import applying
    from orchestrator.queries import loads, metrics
    from tests.cluster import change
    from tests.seeding import Size, seed

    now = timezone.now()
    size = Size(
        deployments=options.replicas, replicas_each=3, nodes=options.nodes, events=10, jobs=10
    )
    seed(now, size)
    MetricBlock.objects.all().delete()
    applying.apply(applying_of(AUTOSCALER), change())
    web = list(Replica.objects.filter(deployment__name="web").order_by("pk")[:3])
    for node in range(options.nodes):
        rows = blocks(f"n{node + 1}", web, options.replicas, now)
        MetricBlock.objects.bulk_create(rows, batch_size=200)
    print(f"{MetricBlock.objects.count()} blocks of {options.nodes} nodes")
    asked: dict[str, Callable[[Any], Any]] = {
        "of a deployment": lambda span: metrics.of_deployment("default", "web", span),
        "of a replica": lambda span: metrics.of_replica(web[0].uid, span),
        "of a service": lambda span: metrics.of_service("default", "web", span),
        "requests in it": lambda span: metrics.tally({"default/web"}, span.begin, span.end),
    }
    for what, ask in asked.items():
        for hours in HOURS:
            span = metrics.Span.latest(now, timedelta(hours=hours))
            show(f"{what}, {hours:g} h", partial(ask, span), options.rounds)
    show("what autoscalers look at", partial(loads.observe, now), options.rounds)


def applying_of(text: str) -> Any:
    from orchestrator.manifests.manifest import parse

    return parse(text)


def blocks(node: str, web: list[Any], replicas: int, now: datetime) -> Iterator[Any]:
    """Yield what is kept of a node's day."""
    from orchestrator.core import requests, samples
    from orchestrator.models import MetricBlock

    owner = web[0].deployment_id
    number = int(node[1:])
    measured = {f"{node}-{n}": (1000 + n, SAMPLE) for n in range(replicas)}
    if number <= len(web):
        measured[web[number - 1].uid] = (owner, SAMPLE)
    served = requests.Served(classes=(0, 9000, 0, 0, 0), failed=0, in_flight_millis=70, times=(9,))
    busy = requests.Load(per_second_millis=3000, in_flight_millis=20)
    counted = requests.part({"default/other": served}, {})
    if number <= 2:
        counted = requests.part(
            {"default/web": served}, {replica.uid: (owner, busy) for replica in web}
        )
    kept = samples.block([700, 1 << 30, 5000, 4000], measured, counted)
    names = samples.names_of(kept)
    for tier in samples.TIERS:
        apart = tier.seconds or 5
        for index in range(tier.kept_seconds // apart):
            at = now - timedelta(seconds=apart * index)
            yield MetricBlock(node=node, seconds=tier.seconds, at=at, names=names, samples=kept)


def show(what: str, ask: Callable[[], Any], rounds: int) -> None:
    """Print how long a question takes, and how much was found."""
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        found = ask()
        took.append((time.perf_counter() - began) * 1000)
    number = f"{len(found)} points" if isinstance(found, list) else found
    print(f"{statistics.median(took):9.0f} ms  {what}: {number}", flush=True)


if __name__ == "__main__":
    main()

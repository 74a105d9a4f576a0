"""How long routes take on the control plane: everything at once, and one change of one replica.

    python3 manage.py bench routes [--services 1000] [--endpoints 10] [--rounds 300] [--gateways 3]

A real broker, and SQLite in a folder of its own (or DATABASE_URL, an empty database). A change is a
node's report that one replica is ready or no longer is; it takes until the broker has the routes
for every gateway, signed for each. Gateways confirm at once, which is not counted.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import django
from django.core.management import call_command

from tests import broker


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("services", 1000), ("endpoints", 10), ("rounds", 300), ("gateways", 3)):
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

    from orchestrator.manifests.manifest import parse
    from orchestrator.models import RouteEntry
    from orchestrator.operations import applying, route_tables, routing
    from tests.cluster import change
    from tests.seeding import Size, seed
    from tests.traffic import service

    size = Size(
        deployments=options.services, replicas_each=options.endpoints, nodes=3, events=10, jobs=10
    )
    seed(timezone.now(), size)
    join(options.gateways)
    names = deployments_and_label_them()
    text = "\n---\n".join(service(name=n, selector=f"{{app: {n}}}") for n in names)
    parsed, took = timed(lambda: parse(text))
    print(f"{took:9.1f} ms  parse {len(names)} services")
    _, took = timed(lambda: applying.apply(parsed, change()))
    print(f"{took:9.1f} ms  apply them, and send everything to {options.gateways} gateways")
    RouteEntry.objects.all().delete()
    _, took = timed(lambda: routing.renew_everything(now=timezone.now()))
    endpoints = len(names) * options.endpoints
    print(f"{took:9.1f} ms  make {endpoints} endpoints anew, and send the whole table to all")
    _, took = timed(lambda: route_tables.send_to("g0"))
    print(f"{took:9.1f} ms  send a whole table to one gateway")
    confirm()
    changes = [one_change(number) for number in range(options.rounds)]
    show("one change, until the broker has it for every gateway", changes)
    routing.refresh = nothing
    show("the same report without any routes", [one_change(n) for n in range(options.rounds)])


def nothing(deployments: object, *, now: object) -> None:
    """Renew no routes."""
    del deployments, now


def join(number: int) -> None:
    """Let nodes join that route and run nothing."""
    from orchestrator.operations import ingest
    from tests.cluster import enrolled
    from worker import protocol

    for index in range(number):
        enrolled(f"g{index}")
        report = protocol.NodeReport(
            node=f"g{index}",
            boot=1,
            sequence=1,
            sent_at=0.0,
            routing=protocol.RoutingStatus(generation=0, ways=("nftables",)),
        )
        ingest.ingest(report, now=_now())


def deployments_and_label_them() -> list[str]:
    """Return the names of deployments, after giving each revision the label that services want."""
    from orchestrator.manifests.deployment import rollout_hash
    from orchestrator.models import Gateway, Revision, RevisionLabel, Service

    Service.objects.all().delete()
    Gateway.objects.filter(node__name__startswith="n").delete()
    made = []
    for revision in Revision.objects.select_related("deployment"):
        name = revision.deployment.name
        revision.template["metadata"] = {"labels": {"app": name}}
        revision.rollout_hash = rollout_hash(revision.template)
        made.append(RevisionLabel(revision=revision, pair=f"app={name}"))
    RevisionLabel.objects.bulk_create(made, batch_size=500)
    RevisionLabel.objects.exclude(pk__in=[row.pk for row in made]).delete()
    fields = ["template", "rollout_hash"]
    Revision.objects.bulk_update([row.revision for row in made], fields, batch_size=200)
    return sorted({row.revision.deployment.name for row in made})


def confirm() -> None:
    """Let every gateway have what there is."""
    from orchestrator.models import Gateway, Routing

    Gateway.objects.update(generation=Routing.objects.get().generation)


def one_change(number: int) -> tuple[float, float]:
    """Let a replica become ready or not ready; return its milliseconds, by the clock and of cpu."""
    from orchestrator.models import Replica
    from orchestrator.operations import ingest
    from worker import protocol

    row = Replica.objects.filter(phase="running").order_by("pk")[number // 2]
    status = protocol.ReplicaStatus(
        uid=protocol.ReplicaUid(row.uid),
        epoch=row.epoch,
        phase=protocol.NodePhase.RUNNING,
        ready=number % 2 == 1,
        reason="Running",
        address=row.address,
    )
    report = protocol.NodeReport(
        node=str(row.node_id),
        boot=int(_now().timestamp() * 1_000_000),
        sequence=1,
        sent_at=0.0,
        replicas=(status,),
    )
    began = time.process_time()
    _, took = timed(lambda: ingest.ingest(report, now=_now()))
    cpu = (time.process_time() - began) * 1000
    confirm()
    return took, cpu


def timed(act):
    """Return what it gives, and how many milliseconds it took."""
    began = time.perf_counter()
    value = act()
    return value, (time.perf_counter() - began) * 1000


def show(what: str, took: list[tuple[float, float]]) -> None:
    found, cpu = sorted(wall for wall, _ in took), sorted(cpu for _, cpu in took)
    p50, p99 = found[len(found) // 2], found[min(len(found) - 1, round(len(found) * 0.99))]
    busy = cpu[len(cpu) // 2]
    print(f"{p50:9.1f} ms  {what}: p50 of {len(found)}; p99 {p99:.1f}; {busy:.1f} ms of cpu")


def _now():
    from django.utils import timezone

    return timezone.now()


if __name__ == "__main__":
    main()

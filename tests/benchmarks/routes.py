"""How long routes take, stage by stage: everything at once, and one change of one replica.

    python3 manage.py bench routes [--services 1000] [--endpoints 10] [--rounds 300] [--gateways 3]

A real broker, and SQLite in a folder of its own (or DATABASE_URL, an empty database). A change is a
node's report that one replica is ready or no longer is. The control plane's part of it ends when
the broker has the routes for every gateway, signed for each; one gateway is really there, and its
part ends when the kernel has them (as root, with nftables: otherwise that step is left out). What
a step takes of the processor is told too, which is what compares on a machine that is shared.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import django
from django.core.management import call_command

from tests import broker, networks

Answer = TypeVar("Answer")
# Milliseconds by the clock, and of the processor.
Took = tuple[float, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("services", 1000), ("endpoints", 10), ("rounds", 300), ("gateways", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    why = networks.why_missing()
    if why:
        print(f"The kernel is left out: {why}")
    with (
        tempfile.TemporaryDirectory(prefix="kijabi-bench-") as home,
        broker.running(Path(home)) as url,
        nullcontext() if why else networks.network(0) as net,
    ):
        os.environ |= {"KIJABI_HOME": home, "REDIS_URL": url}
        os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        measure(options, Path(home), url, net)


def measure(
    options: argparse.Namespace, home: Path, url: str, net: networks.Network | None
) -> None:
    from django.utils import timezone

    from tests.benchmarks.receiving import Receiver
    from tests.seeding import Size, seed

    size = Size(
        deployments=options.services, replicas_each=options.endpoints, nodes=3, events=10, jobs=10
    )
    seed(timezone.now(), size)
    identity = join(options.gateways)
    receiver = Receiver(identity, home, url, time.time, net)
    everything(deployments_and_label_them(), receiver)
    one_by_one(options.rounds, receiver)


def everything(names: list[str], receiver) -> None:
    """Apply all services at once, and follow them to the kernel."""
    from django.utils import timezone

    from orchestrator.manifests.manifest import parse
    from orchestrator.models import RouteEntry
    from orchestrator.operations import applying, routing
    from tests.cluster import change
    from tests.traffic import service

    text = "\n---\n".join(service(name=n, selector=f"{{app: {n}}}") for n in names)
    routing.repair(now=timezone.now())
    total = (0.0, 0.0)
    parsed, took = timed(lambda: parse(text))
    total = tell(total, took, f"parse {len(names)} services")
    with held(routing, "_renew_owed") as owed:
        _, took = timed(lambda: applying.apply(parsed, change()))
    total = tell(total, took, "apply them, in one transaction")
    receiver.drop()
    with held(routing.route_tables, "send") as sends:
        _, took = timed(lambda: [call() for call in owed[:1]])
    total = tell(total, took, "make their routes")
    _, took = timed(lambda: [call() for call in sends])
    total = tell(total, took, "sign and send them to every gateway")
    total = receive(total, receiver)
    print(f"{total[0]:9.1f} ms, {total[1]:.1f} of cpu: all of it, one after the other")
    confirm()
    tell(
        total,
        timed(lambda: applying.apply(parsed, change()))[1],
        "apply the same again, which changes nothing",
    )
    RouteEntry.objects.all().delete()
    _, took = timed(lambda: routing.renew_everything(now=timezone.now()))
    tell(total, took, "make all routes anew, and send whole tables")
    confirm()
    receiver.take()


def receive(total: Took, receiver) -> Took:
    """Follow everything from the broker to the kernel of one node; return the new total."""
    letter, took = timed(receiver.fetch)
    total = tell(total, took, f"fetch the letter at the node ({len(letter['body']) / 1e6:.1f} MB)")
    table, took = timed(lambda: receiver.open(letter))
    ends = sum(len(port.endpoints) for one in table.services for port in one.ports)
    total = tell(total, took, f"check and read it ({len(table.services)} services, {ends} ends)")
    for act, what in (
        (lambda: receiver.keep(table), "keep the table on disk"),
        (receiver.look, "see who is in rotation"),
        (receiver.carry_out, "have the kernel do it"),
    ):
        _, took = timed(act)
        total = tell(total, took, what)
    return total


def one_by_one(rounds: int, receiver) -> None:
    """Let one replica after the other cease to be ready, and become ready again."""
    from orchestrator.operations import routing

    parts: dict[str, list[Took]] = {}
    for number in range(rounds):
        report = ready_or_not(number)
        for name, act in (
            ("until the broker has it for every gateway", report),
            ("until the kernel of one gateway has it", receiver.take),
        ):
            _, took = timed(act)
            parts.setdefault(name, []).append(took)
        confirm()
    for name, times in parts.items():
        show(f"one change, {name}", times)
    both = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(*parts.values(), strict=True)]
    show("one change, both together", both)
    routing.refresh = nothing
    without = [timed(ready_or_not(number))[1] for number in range(rounds)]
    show("the same report without any routes", without)


@contextmanager
def held(module, name: str) -> Iterator[list[Callable[[], object]]]:
    """Keep calls of a function until they are made by whoever measures."""
    act, calls = getattr(module, name), []
    setattr(module, name, lambda *words: calls.append(lambda: act(*words)))
    yield calls
    setattr(module, name, act)


def nothing(deployments: object, *, now: object) -> None:
    """Renew no routes."""
    del deployments, now


def join(number: int):
    """Let nodes join that route and run nothing; return who the first of them is."""
    from orchestrator.models import Node
    from orchestrator.operations import ingest
    from tests.cluster import enrolled
    from worker import protocol

    identities = []
    for index in range(number):
        identities.append(enrolled(f"g{index}"))
        report = protocol.NodeReport(
            node=f"g{index}",
            boot=1,
            sequence=1,
            sent_at=0.0,
            routing=protocol.RoutingStatus(generation=0, ways=("nftables",)),
        )
        ingest.ingest(report, now=_now())
    # Several machines: each replica needs a port of its node for the others.
    for index, node in enumerate(Node.objects.order_by("name")):
        Node.objects.filter(pk=node.pk).update(address=f"10.9.0.{index + 1}")
    return identities[0]


def deployments_and_label_them() -> list[str]:
    """Return the names of deployments, after giving each revision the label that services want.

    Replicas get addresses of their own and are all ready.
    """
    from orchestrator.manifests.deployment import rollout_hash
    from orchestrator.models import (
        Gateway,
        Ingress,
        Replica,
        Revision,
        RevisionLabel,
        RouteEntry,
        Service,
    )

    for model in (Ingress, Service, RouteEntry):
        model.objects.all().delete()
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
    rows = list(Replica.objects.order_by("pk"))
    for index, row in enumerate(rows):
        row.address = f"172.17.{index >> 8}.{index & 255}"
        row.phase, row.ready, row.ready_at = "running", True, row.created_at
    Replica.objects.bulk_update(rows, ["address", "phase", "ready", "ready_at"], batch_size=200)
    return sorted({row.revision.deployment.name for row in made})


def confirm() -> None:
    """Let every gateway have what there is."""
    from orchestrator.models import Gateway, Routing

    Gateway.objects.update(generation=Routing.objects.get().generation)


def ready_or_not(number: int) -> Callable[[], object]:
    """Return what takes the report that a replica is ready, or no longer is."""
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
    return lambda: ingest.ingest(report, now=_now())


def timed(act: Callable[[], Answer]) -> tuple[Answer, Took]:
    """Return what it gives, and how long it took."""
    began, busy = time.perf_counter(), _busy()
    value = act()
    return value, ((time.perf_counter() - began) * 1000, (_busy() - busy) * 1000)


def _busy() -> float:
    """Return how many seconds of the processor we and the programs we called have had."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in both)


def tell(total: Took, took: Took, what: str) -> Took:
    """Print how long something took; return the new total."""
    print(f"{took[0]:9.1f} ms, {took[1]:.1f} of cpu: {what}")
    return total[0] + took[0], total[1] + took[1]


def show(what: str, took: list[Took]) -> None:
    found = sorted(wall for wall, _ in took)
    p99 = found[min(len(found) - 1, round(len(found) * 0.99))]
    busy = statistics.median(cpu for _, cpu in took)
    print(
        f"{statistics.median(found):9.1f} ms, {busy:.1f} of cpu: {what} "
        f"(medians of {len(found)}; p99 {p99:.1f} ms)"
    )


def _now():
    from django.utils import timezone

    return timezone.now()


if __name__ == "__main__":
    main()

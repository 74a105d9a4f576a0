"""What hundreds of nodes cost: a round of pings, passes, a sweep, the loss of a node, pages.

    python3 manage.py bench many_nodes [--nodes 300] [--deployments 300] [--rounds 10]

Rows are written straight into a database of its own (SQLite, or the empty one in DATABASE_URL),
messages go to a broker of its own; the nodes' answers are real signatures. Processor time of this
process, so that a busy machine changes little; the database's own is in it with SQLite only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import django
from django.core.management import call_command

from tests import broker

PAGES = (
    "/",
    "/nodes/",
    "/nodes/n1/",
    "/nodes/n1/drain/",
    "/nodes/rebalance/",
    "/deployments/",
    "/deployments/default/web/",
    "/api/v1/nodes/",
    "/api/v1/nodes/n1/drain/?plan",
    "/api/v1/replicas/?limit=500",
    "/metrics",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=300)
    parser.add_argument("--deployments", type=int, default=300, help="of ten replicas each")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="kijabi-bench-") as home,
        broker.running(Path(home)) as url,
    ):
        os.environ |= {"KIJABI_HOME": home, "REDIS_URL": url}
        os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        Bench(options.nodes, options.deployments, options.rounds).run()


class Bench:
    """A seeded cluster, and what is asked of it."""

    def __init__(self, nodes: int, deployments: int, rounds: int) -> None:
        from django.utils import timezone

        from orchestrator.models import Deployment
        from tests.cluster import enrolled
        from tests.seeding import Size, seed

        if Deployment.objects.exists():
            raise SystemExit("this database is in use; name an empty one in DATABASE_URL")
        self.rounds = rounds
        self.now = timezone.now()
        seed(self.now, Size(deployments=deployments, nodes=nodes))
        self.identities = {name: enrolled(name) for name in names(nodes)}
        print(f"{nodes} nodes, {deployments} deployments, {10 * deployments} replicas")

    def run(self) -> None:
        """Measure everything once."""
        self.pings()
        self.passes()
        self.pages()
        self.loss()
        self.waiting()

    def show(self, what: str, act: Callable[[], object], rounds: int = 0) -> None:
        """Do it so often; print what it costs and how many queries it takes."""
        from django.db import connection

        queries: list[str] = []

        def note(execute, sql, *rest):
            queries.append(sql)
            return execute(sql, *rest)

        with connection.execute_wrapper(note):
            act()
        costs = sorted(spent(act) for _ in range(rounds or self.rounds))
        median, worst = statistics.median(costs), costs[-1]
        print(f"{median:8.1f} ms, worst {worst:8.1f} ms, {len(queries):5} queries  {what}")

    def pings(self) -> None:
        """Ask every node, hear every answer."""
        from orchestrator.operations.liveness import Watch

        answers: dict[str, str] = {}
        watch = Watch(answers=lambda _: dict(answers), restore=lambda: None)

        def answered() -> None:
            self.now += timedelta(seconds=10)
            answers.update(self.answers())

        costs = []
        for _ in range(self.rounds + 2):
            answered()
            costs.append(spent(lambda: watch.look(now=self.now)))
        print(f"{statistics.median(costs[2:]):8.1f} ms, worst {max(costs[2:]):8.1f} ms  ping round")

    def answers(self) -> dict[str, str]:
        """Return what every node answers now."""
        import json

        from worker import protocol
        from worker.envelope import CONTROL, sign, write

        found = {}
        for name, identity in self.identities.items():
            letter = write(
                sender=name,
                audience=CONTROL,
                task=protocol.PING_TASK,
                arguments={"token": str(self.now.timestamp())},
                sealed="",
                now=self.now.timestamp(),
            )
            found[name] = json.dumps(sign(letter, identity.keys.signing_key))
        return found

    def passes(self) -> None:
        """Run passes over deployments that have to be scaled, then over those that rest."""
        from django.utils import timezone

        from orchestrator import tasks
        from orchestrator.models import Deployment
        from orchestrator.operations import reconcile, sweep

        first = list(Deployment.objects.order_by("pk").values_list("pk", flat=True))
        self.show("first pass of a rollout", lambda: reconcile.run(first.pop(), now=timezone.now()))
        rest = first[0]
        reconcile.run(rest, now=timezone.now())
        self.show("pass that changes nothing", lambda: reconcile.run(rest, now=timezone.now()))
        self.show("what a sweep looks for", lambda: sweep.owed(now=timezone.now()))
        Deployment.objects.update(settled=True, wake_at=None)
        self.show("sweep with nothing to do", tasks.sweep_unsettled.run)

    def pages(self) -> None:
        """Open the pages that show nodes."""
        from django.contrib.auth.models import User
        from django.test import Client

        client = Client()
        client.force_login(User.objects.create_superuser("eve"))
        for path in PAGES:
            answer = client.get(path)
            assert answer.status_code == 200, (path, answer.status_code)
            size = len(answer.content) / 1024
            self.show(f"{path} ({size:.0f} kB)", lambda path=path: client.get(path), 5)

    def loss(self) -> None:
        """Lose a node with its replicas, and find out who is owed a pass."""
        from django.db import transaction

        from orchestrator.models import Node
        from orchestrator.operations import nodes

        def owe() -> None:
            with transaction.atomic():
                nodes.owe_passes(Node.objects.get(name="n7"))

        self.show("who is owed a pass when a node is lost", owe)

    def waiting(self) -> None:
        """Let ten replicas of a deployment fit nowhere."""
        from django.utils import timezone

        from orchestrator.manifests.manifest import parse
        from orchestrator.models import Deployment, Replica
        from orchestrator.operations import applying, reconcile
        from orchestrator.queries import waiting
        from tests.cluster import change, manifest

        text = manifest(name="huge", replicas=10, memory="900Gi")
        applying.apply(parse(text), change(now=timezone.now()))
        row = Deployment.objects.get(name="huge")

        def look() -> None:
            reconcile.run(row.pk, now=timezone.now())

        self.show("pass with ten that fit nowhere", look)
        replica = Replica.objects.filter(deployment=row, node=None)[0]
        self.show(
            "why one waits, node by node",
            lambda: waiting.explanation(replica.uid, now=timezone.now()),
        )


def names(count: int) -> list[str]:
    return [f"n{number}" for number in range(1, count + 1)]


def spent(act: Callable[[], object]) -> float:
    """Return milliseconds of processor time."""
    began = time.process_time()
    act()
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main()

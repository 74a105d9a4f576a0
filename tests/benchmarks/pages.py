"""How long the server takes for each page of a large cluster.

    python3 manage.py bench pages [--rounds 20] [--deployments 200]

SQLite in a folder of its own, Django's test client in one process: no network, no browser. Set
DATABASE_URL to an empty database to measure on that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time

import django
from django.core.management import call_command

from tests.pages import PAGES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--deployments", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kijabi-bench-") as home:
        os.environ |= {"KIJABI_HOME": home, "REDIS_URL": "redis://127.0.0.1:1/0"}
        os.environ["DJANGO_SETTINGS_MODULE"] = "orchestrator.settings"
        django.setup()
        call_command("migrate", verbosity=0)
        call_command("collectstatic", verbosity=0, interactive=False)
        measure(options.rounds, options.deployments)


def measure(rounds: int, deployments: int) -> None:
    from django.contrib.auth.models import User
    from django.test import Client
    from django.utils import timezone

    from orchestrator.models import Deployment
    from orchestrator.operations import log_reader
    from tests.seeding import Size, seed

    if Deployment.objects.exists():
        raise SystemExit("this database is in use; name an empty one in DATABASE_URL")
    began = time.perf_counter()
    ids = seed(timezone.now(), Size(deployments=deployments))
    print(f"seeded {deployments} deployments in {time.perf_counter() - began:.1f} s")
    # Logs come from nodes by the broker; there are none here, and nobody should wait for them.
    log_reader.LogReader.begin = no_answer
    client = Client()
    client.force_login(User.objects.create_superuser("eve"))
    for page in PAGES:
        path = page.format(**ids)
        client.get(path)
        took = sorted(timed(client, path) for _ in range(rounds))
        size = len(client.get(path).content) / 1024
        print(
            f"{statistics.median(took):7.1f} ms, worst {took[-1]:7.1f} ms, {size:5.0f} kB  {page}"
        )


async def no_answer(reader) -> None:
    from orchestrator.operations.log_reader import BrokerDown

    del reader
    raise BrokerDown


def timed(client, path: str) -> float:
    began = time.perf_counter()
    assert client.get(path).status_code == 200
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()

"""How fast Kijabi reacts, and what it costs while nothing happens.

    python3 manage.py bench reactions --image IMAGE [--rounds 20] [--idle 30]

Change → node told: from the API call until the node's worker has taken the message from the
broker, which it tells the broker itself (`MONITOR` shows it). Death → restart begun: from the
engine's `die` event to the first thing it tells of the restart, which is that the dead container is
removed to make room; and to the end of its next `create`. Idle: PSS and CPU of the processes of
`up`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import threading
import time
from pathlib import Path

import docker
import redis

from orchestrator.cli.client import Client
from orchestrator.home import state_folder
from tests.benchmarks import cluster
from tests.benchmarks.start_containers import manifest

NAME = "bench-reactions"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--idle", type=float, default=30)
    options = parser.parse_args()
    client, api = cluster.connect(), docker.APIClient(timeout=60)
    body = json.dumps(manifest(NAME, options.image, 1)).encode()
    client.call("POST", "apply/", body=body)
    uid = wait_ready(client)
    show("change → node told", told(client, options.rounds))
    begun, created = restarts(api, client, uid, options.rounds)
    show("container death → restart begun (dead container removed)", begun)
    show("container death → new container created", created)
    idle(options.idle)
    client.call("DELETE", "apply/", body=body)


def wait_ready(client: Client) -> str:
    while True:
        rows = list(client.pages("replicas/", {"deployment": NAME}))
        if rows and all(row["ready"] for row in rows):
            return str(rows[0]["uid"])
        time.sleep(0.1)


def told(client: Client, rounds: int) -> list[float]:
    """Scale up and down; the broker says when the node's worker took each message."""
    path = f"namespaces/default/deployments/{NAME}/"
    broker = redis.Redis.from_url((state_folder() / "run/broker-url").read_text().strip())
    taken: list[float] = []

    def watch() -> None:
        with broker.monitor() as monitor:
            for command in monitor.listen():
                text = str(command["command"])
                # A job's message is put among the unacknowledged ones by whoever took it; pings,
                # every 5 s, carry no jobs but look the same from here: rounds avoid them below.
                if text.startswith("ZADD unacked_index:") and ":control" not in text:
                    taken.append(float(command["time"]))

    threading.Thread(target=watch, daemon=True).start()
    time.sleep(0.5)
    found = []
    while len(found) < rounds:
        taken.clear()
        before = time.time()
        client.call("POST", f"{path}scale/", body=b'{"replicas": 2}')
        time.sleep(0.4)
        # Two messages in that time: one of them is a ping, and nobody knows which.
        if len(taken) == 1:
            found.append((taken[0] - before) * 1000)
        wait_ready(client)
        client.call("POST", f"{path}scale/", body=b'{"replicas": 1}')
        while len(list(client.pages("replicas/", {"deployment": NAME}))) > 1:
            time.sleep(0.1)
    return found


def restarts(
    api: docker.APIClient, client: Client, uid: str, rounds: int
) -> tuple[list[float], list[float]]:
    """Kill the container; compare the engine's own time stamps."""
    begun: list[float] = []
    created: list[float] = []
    for _ in range(rounds):
        done = threading.Event()

        def watch(done: threading.Event = done) -> None:
            seen: dict[str, int] = {}
            filters = {
                "label": f"dev.kijabi.replica={uid}",
                "event": ["die", "destroy", "create"],
            }
            for event in docker.APIClient(timeout=60).events(decode=True, filters=filters):
                seen[event["Action"]] = event["timeNano"]
                if event["Action"] == "create" and "die" in seen:
                    begun.append((seen.get("destroy", seen["create"]) - seen["die"]) / 1e6)
                    created.append((seen["create"] - seen["die"]) / 1e6)
                    done.set()
                    return

        threading.Thread(target=watch, daemon=True).start()
        time.sleep(0.2)
        client.call("POST", f"replicas/{uid}/retry/")
        time.sleep(0.2)
        api.kill(f"kijabi-{uid}-1")
        done.wait(30)
        wait_ready(client)
    return begun, created


def idle(seconds: float) -> None:
    """Print memory (PSS) and CPU of `up` and its children while nothing happens."""
    root = int((state_folder() / "run/up.lock").read_text())
    family = {root: "supervisor"}
    for pid in Path(f"/proc/{root}/task/{root}/children").read_text().split():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        family[int(pid)] = next((w for w in words if w.startswith(("orch", "worker"))), words[0])
    before = {pid: cpu_ticks(pid) for pid in family}
    time.sleep(seconds)
    total_kib = 0
    total_cpu = 0.0
    for pid, name in family.items():
        kib = pss_kib(pid)
        share = (cpu_ticks(pid) - before[pid]) / os.sysconf("SC_CLK_TCK") / seconds * 100
        total_kib, total_cpu = total_kib + kib, total_cpu + share
        print(f"  {name:40} {kib / 1024:7.1f} MiB PSS  {share:5.2f} % of a core")
    print(f"idle: {total_kib / 1024:.0f} MiB PSS, {total_cpu:.2f} % of a core")


def pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def show(what: str, values: list[float]) -> None:
    ordered = sorted(values)
    print(
        f"{what}: median {statistics.median(ordered):.0f} ms, "
        f"worst {ordered[-1]:.0f} ms of {len(ordered)}"
    )


if __name__ == "__main__":
    main()

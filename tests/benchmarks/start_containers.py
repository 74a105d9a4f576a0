"""Start 50 replicas: Kijabi against the raw engine, in one run on one machine.

    python3 manage.py up                      # with --runtime docker, in another terminal
    python3 manage.py bench start_containers --image IMAGE [--replicas 50] [--rounds 3]

The raw engine is the best of 4, 8 and 16 threads doing create + start through its API. Kijabi is
timed from the API call to the last container's start, by the engine's own event stream.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import docker

from orchestrator.cli.client import Client
from tests.benchmarks import cluster

COMMAND = ["sleep", "600"]
LABEL = "kijabi-benchmark"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--replicas", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    api = docker.APIClient(num_pools=32)
    client = cluster.connect()
    ratios, single = [], []
    for number in range(options.rounds):
        raw = {n: raw_start(api, options.image, options.replicas, n) for n in (4, 8, 16)}
        best = min(raw.values())
        ours = our_start(api, client, options.image, options.replicas)
        ratios.append(ours / best)
        one_raw = statistics.median(raw_start(api, options.image, 1, 1) for _ in range(5))
        one_ours = statistics.median(our_start(api, client, options.image, 1) for _ in range(5))
        single.append((one_ours - one_raw) * 1000)
        shown = ", ".join(f"{n} threads {seconds:.2f} s" for n, seconds in raw.items())
        print(f"round {number + 1}: raw {shown}; kijabi {ours:.2f} s; ratio {ours / best:.2f}")
        print(f"  one start: raw {one_raw * 1000:.0f} ms, kijabi {one_ours * 1000:.0f} ms")
    print(f"median ratio {statistics.median(ratios):.2f}")
    print(f"median overhead of one start {statistics.median(single):.0f} ms")


def raw_start(api: docker.APIClient, image: str, count: int, threads: int) -> float:
    """Return the seconds the engine needs with nothing of ours in between."""
    names = [f"{LABEL}-{uuid.uuid4().hex[:10]}" for _ in range(count)]
    # The same hardening as ours, so that both ask the same of the engine.
    host = api.create_host_config(
        init=True,
        pids_limit=512,
        security_opt=["no-new-privileges:true"],
        cap_drop=["ALL"],
        log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    )

    def start(name: str) -> None:
        api.create_container(image, COMMAND, name=name, host_config=host)
        api.start(name)

    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(start, names))
    seconds = time.perf_counter() - began
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: api.remove_container(name, force=True), names))
    return seconds


def our_start(api: docker.APIClient, client: Client, image: str, count: int) -> float:
    """Return the seconds from the API call to the last start, as the engine tells it."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    started = threading.Event()
    ready = threading.Event()
    last = [0.0]

    def watch() -> None:
        events = docker.APIClient(timeout=60).events(
            decode=True, filters={"event": "start", "label": f"dev.kijabi.deployment={name}"}
        )
        ready.set()
        for _ in range(count):
            next(events)
        last[0] = time.perf_counter()
        started.set()

    threading.Thread(target=watch, daemon=True).start()
    ready.wait(10)
    body = json.dumps(manifest(name, image, count)).encode()
    began = time.perf_counter()
    client.call("POST", "apply/", body=body)
    if not started.wait(120):
        raise SystemExit("the containers did not start in two minutes")
    client.call("DELETE", "apply/", body=body)
    while any(row["name"] == name for row in client.pages("deployments/", {})):
        time.sleep(0.2)
    return last[0] - began


def manifest(name: str, image: str, count: int) -> dict[str, object]:
    container = {"name": "main", "image": image, "command": COMMAND, "imagePullPolicy": "Never"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": count,
            "template": {"spec": {"containers": [container], "terminationGracePeriodSeconds": 0}},
        },
    }


if __name__ == "__main__":
    main()

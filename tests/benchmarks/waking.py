"""How soon a request is answered by a deployment that sleeps, over what its container needs.

    python3 manage.py up          # as root, with Docker and gateways, in another terminal
    python3 manage.py bench waking --image IMAGE [--rounds 10] [--port 80] [--crowd 0]

The image needs busybox. In each round the deployment falls asleep; then one request goes to the
gateway, and the time until the first byte of the answer is taken. In the same round the raw engine
creates and starts the same container, and the time until it answers is taken too; the difference is
what Kijabi adds. A crowd are so many requests at the same moment, all of which have to be answered.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import docker

from orchestrator.cli.client import Client
from tests.benchmarks import cluster

NAME, HOST = "bench-waking", "waking.bench"
COMMAND = ["sh", "-c", "echo here > index.html && exec httpd -f -p 80"]
LONGEST_SECONDS = 70
MANIFESTS = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {NAME}}}
spec:
  template:
    metadata: {{labels: {{app: {NAME}}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: IMAGE
        command: {json.dumps(COMMAND)}
        ports: [{{containerPort: 80}}]
        readinessProbe: {{httpGet: {{port: 80, path: /index.html}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {NAME}}}
spec: {{selector: {{app: {NAME}}}, ports: [{{port: 80}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {NAME}}}
spec:
  rules:
  - host: {HOST}
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {{service: {{name: {NAME}, port: {{number: 80}}}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {NAME}}}
spec:
  scaleTargetRef: {{kind: Deployment, name: {NAME}}}
  minReplicas: 0
  maxReplicas: 3
  metrics:
  - type: Pods
    pods:
      metric: {{name: requests_in_flight}}
      target: {{type: AverageValue, averageValue: "100"}}
  behavior: {{scaleDown: {{stabilizationWindowSeconds: 0}}}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--port", type=int, default=80)
    parser.add_argument("--crowd", type=int, default=0)
    options = parser.parse_args()
    client, api = cluster.connect(), docker.APIClient(timeout=60)
    manifests = MANIFESTS.replace("IMAGE", options.image).encode()
    client.call("POST", "apply/", body=manifests, kind="application/yaml")
    try:
        over = [one_round(client, api, options) for _ in range(options.rounds)]
        if options.crowd:
            crowd(client, options)
    finally:
        client.call("DELETE", "apply/", body=manifests, kind="application/yaml")
    print(
        f"first byte over the container's own start: median {statistics.median(over):.0f} ms, "
        f"worst {max(over):.0f} ms of {len(over)}"
    )


def one_round(client: Client, api: docker.APIClient, options: argparse.Namespace) -> float:
    """Return by how many milliseconds the answer came later than the engine alone could give it."""
    wait_asleep(client)
    own = raw_start(api, options.image)
    status, took = ask(options.port)
    print(
        f"  {status}: first byte after {took * 1000:.0f} ms, "
        f"the container alone {own * 1000:.0f} ms"
    )
    if status != "200":
        raise SystemExit("a request failed")
    return (took - own) * 1000


def crowd(client: Client, options: argparse.Namespace) -> None:
    """Print what became of many requests that came while nobody was there."""
    wait_asleep(client)
    with ThreadPoolExecutor(options.crowd) as pool:
        found = list(pool.map(lambda _: ask(options.port), range(options.crowd)))
    words = dict(Counter(status for status, _ in found))
    print(f"a crowd of {options.crowd}: {words}, the last after {max(t for _, t in found):.2f} s")


def wait_asleep(client: Client) -> None:
    path = f"namespaces/default/deployments/{NAME}/"
    while True:
        wanted = client.call("GET", path)["spec"]["replicas"]
        if wanted == 0 and not list(client.pages("replicas/", {"deployment": NAME})):
            return
        time.sleep(0.1)


def ask(port: int, address: str = "127.0.0.1") -> tuple[str, float]:
    """Return the status of one request (or what went wrong) and the seconds to its first byte."""
    began = time.perf_counter()
    connection = http.client.HTTPConnection(address, port, timeout=LONGEST_SECONDS)
    with closing(connection):
        try:
            connection.request("GET", "/index.html", headers={"Host": HOST})
            answer = connection.getresponse()
            answer.read(1)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__, time.perf_counter() - began
        return str(answer.status), time.perf_counter() - began


def raw_start(api: docker.APIClient, image: str) -> float:
    """Return the seconds until the same container answers with nothing of ours in between."""
    name = f"{NAME}-{uuid.uuid4().hex[:10]}"
    # The same hardening as ours, so that both ask the same of the engine.
    host = api.create_host_config(
        init=True,
        pids_limit=512,
        security_opt=["no-new-privileges:true"],
        log_config={"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    )
    began = time.perf_counter()
    api.create_container(image, COMMAND, name=name, host_config=host)
    try:
        api.start(name)
        networks = api.inspect_container(name)["NetworkSettings"]["Networks"]
        address = str(networks["bridge"]["IPAddress"])
        while ask(80, address)[0] != "200":
            time.sleep(0.005)
        return time.perf_counter() - began
    finally:
        api.remove_container(name, force=True)


if __name__ == "__main__":
    main()

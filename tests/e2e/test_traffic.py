"""Real replicas behind a real gateway: no request fails while they are exchanged.

Requests come at a fixed rate whatever becomes of those before, and are never repeated.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import docker_engine, networks
from tests.conftest import require_or_skip
from tests.stack import Stack, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

PER_SECOND, CLIENTS, ANSWER_SECONDS = 60, 4, 10
MANIFESTS = r"""
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: main
        image: kijabi-test/busybox:1
        command:
        - sh
        - -c
        - |
          mkdir cgi-bin
          printf '#!/bin/sh\nsleep 12\nprintf "Content-Type: text/plain\\n\\nslow"\n' > cgi-bin/slow
          chmod +x cgi-bin/slow
          echo here > index.html && exec httpd -f -p 80
        ports: [{containerPort: 80}]
        readinessProbe: {httpGet: {port: 80, path: /index.html}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: front}
spec:
  rules:
  - host: web.test
    http:
      paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]
"""


ONE = "namespaces/default/autoscalers/web/"


@dataclass
class Load:
    """Asks one address again and again, each time on a new connection, until told to stop."""

    address: str
    port: int
    seen: Counter[str] = field(default_factory=Counter)
    ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CLIENTS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, number: int) -> None:
        due = time.monotonic() + number / PER_SECOND
        while not self.ended.wait(max(0.0, due - time.monotonic())):
            self.seen[self.answer()] += 1
            due += CLIENTS / PER_SECOND

    def answer(self, path: str = "/index.html", longest: float = ANSWER_SECONDS) -> str:
        connection = http.client.HTTPConnection(self.address, self.port, timeout=longest)
        try:
            connection.request("GET", path, headers={"Host": "web.test"})
            answer = connection.getresponse()
            return f"{answer.status} {answer.read().decode().strip()}"
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__
        finally:
            connection.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    if why := docker_engine.why_missing():
        require_or_skip("docker", why)
    if why := networks.why_missing():
        require_or_skip("nftables", why)
    docker_engine.make_image()
    extra = {"KIJABI_GATEWAY": "on", "KIJABI_HTTP_PORT": str(free_port())}
    made = Stack(tmp_path / "home", free_port(), "docker", extra=extra)
    made.start()
    yield made
    made.end()
    made.run("down")


def address_of(stack: Stack) -> str:
    """Return the address of the service once every gateway has the routes to all replicas."""

    def look() -> str:
        (route,) = stack.api("routes/")["results"]
        serving = [one for one in route["endpoints"] if one["standing"] == "serving"]
        is_known = len(serving) == 3 and not route["unconfirmed"]
        return str(route["addresses"][0]) if is_known else ""

    return str(stack.wait_for(look))


def exchange(stack: Stack) -> None:
    """Replace every replica, then have more of them, then fewer."""
    stack.run("rollout", "restart", "deployment/web")
    stack.run("rollout", "status", "deployment/web")
    stack.run("scale", "deployment/web", "--replicas", "5")
    stack.run("rollout", "status", "deployment/web")
    stack.run("scale", "deployment/web", "--replicas", "2")
    stack.wait_for(lambda: len(stack.replicas()) == 2, 60)


def asking(stack: Stack, act: Callable[[Stack], None]) -> tuple[Counter[str], Counter[str]]:
    """Return what the service and the ingress answered while something was done."""
    http_port = int(stack.extra["KIJABI_HTTP_PORT"])
    with Load(address_of(stack), 80) as service, Load("127.0.0.1", http_port) as ingress:
        act(stack)
    return service.seen, ingress.seen


def test_no_request_fails_while_replicas_are_exchanged(stack: Stack):
    stack.run("apply", "-f", "-", "--wait", text=MANIFESTS)

    service, ingress = asking(stack, exchange)

    assert set(service) == {"200 here"}, service
    assert set(ingress) == {"200 here"}, ingress
    assert min(service.total(), ingress.total()) > 100


def test_a_port_here_leads_to_a_replica(stack: Stack):
    stack.run("apply", "-f", "-", "--wait", text=MANIFESTS)
    port = free_port()
    words = [stack.python, "manage.py", "port-forward", "service/web", f"{port}:80"]
    with subprocess.Popen(
        words, cwd=stack.root, env=stack.env, stdout=subprocess.PIPE, text=True
    ) as client:
        try:
            assert client.stdout is not None
            assert f"Forwarding from 127.0.0.1:{port} -> 80" in client.stdout.readline()
            load = Load("127.0.0.1", port)
            found = [load.answer() for _ in range(5)]
        finally:
            client.terminate()

    assert found == ["200 here"] * 5


SLEEPER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {kind: Deployment, name: web}
  minReplicas: 0
  maxReplicas: 3
  metrics:
  - type: Pods
    pods: {metric: {name: requests_in_flight}, target: {type: AverageValue, averageValue: "10"}}
  behavior: {scaleDown: {stabilizationWindowSeconds: 0}}
"""


def test_who_sleeps_is_woken_by_a_request(stack: Stack):
    stack.run("apply", "-f", "-", "--wait", text=MANIFESTS)
    load = Load("127.0.0.1", int(stack.extra["KIJABI_HTTP_PORT"]))
    stack.run("apply", "-f", "-", text=SLEEPER)

    for _ in range(2):
        stack.wait_for(lambda: stack.replicas() == [], 60)
        began = time.monotonic()
        assert load.answer() == "200 here"
        print(f"answered {time.monotonic() - began:.2f} s after it was asked for")

    words = {row["word"] for row in stack.api(f"{ONE}decisions/?changes=true")["results"]}
    assert "RequestsWaiting" in words


def test_who_is_woken_stays_awake_until_it_has_answered(stack: Stack):
    stack.run("apply", "-f", "-", "--wait", text=MANIFESTS)
    load = Load("127.0.0.1", int(stack.extra["KIJABI_HTTP_PORT"]))
    stack.run("apply", "-f", "-", text=SLEEPER)
    stack.wait_for(lambda: stack.replicas() == [], 60)

    # Longer than the autoscaler takes to see that nothing else comes.
    assert load.answer("/cgi-bin/slow", 60) == "200 slow"

    stack.wait_for(lambda: stack.replicas() == [], 60)


@pytest.mark.parametrize(
    "killed", ["-m\0worker", "-A\0orchestrator.celery"], ids=["agent", "control"]
)
def test_a_request_survives_the_end_of_those_who_are_to_wake(stack: Stack, killed: str):
    stack.run("apply", "-f", "-", "--wait", text=MANIFESTS)
    load = Load("127.0.0.1", int(stack.extra["KIJABI_HTTP_PORT"]))
    stack.run("apply", "-f", "-", text=SLEEPER)
    stack.wait_for(lambda: stack.replicas() == [], 60)

    os.kill(stack.pid_of(killed), signal.SIGKILL)

    assert load.answer(longest=60) == "200 here"

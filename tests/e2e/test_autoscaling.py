"""Load on real containers, measured, decided on, followed; and let go after the window."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests import docker_engine
from tests.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

WITHIN_SECONDS = 20
WINDOW_SECONDS = 15
# It burns all the cpu it may have while the file holds something.
BURNER = "while :; do if [ -s /tmp/load ]; then :; else sleep 0.2; fi; done"
MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  template:
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: {image}
        command: ["sh", "-c", "{burner}"]
        resources: {{limits: {{cpu: 100m, memory: 32Mi}}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: web}}
spec:
  scaleTargetRef: {{kind: Deployment, name: web}}
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 40}}}}
  behavior: {{scaleDown: {{stabilizationWindowSeconds: {window}}}}}
"""
ONE = "namespaces/default/autoscalers/web/"


def deployment(stack: Stack) -> dict[str, Any]:
    return stack.api("namespaces/default/deployments/web/")


def has(stack: Stack, replicas: int) -> bool:
    wanted = deployment(stack)["spec"]["replicas"] == replicas
    return wanted and len(stack.ready()) == replicas


def curve(stack: Stack) -> list[tuple[str, int, int]]:
    """Return what was decided, for whoever reads the test's output."""
    rows = stack.api(f"{ONE}decisions/?page_size=200")["results"][::-1]
    return [(row["at"][14:19], row["current"], row["desired"]) for row in rows]


def test_the_number_follows_the_load_up_and_down(stack: Stack):
    image = docker_engine.IMAGE if stack.runtime == "docker" else "host"
    text = MANIFESTS.format(image=image, burner=BURNER, window=WINDOW_SECONDS)
    stack.run("apply", "-f", "-", "--wait", text=text)
    # Until it sees a value: what a start uses does not count.
    stack.wait_for(lambda: stack.api(ONE)["word"] in {"DesiredWithinRange", "TooFewReplicas"}, 60)
    [first] = stack.ready()

    stack.run("exec", first["uid"], "--", "sh", "-c", "echo 1 > /tmp/load")
    began = time.monotonic()
    stack.wait_for(lambda: has(stack, 2) or has(stack, 3), WITHIN_SECONDS)
    took_up = time.monotonic() - began
    stack.wait_for(lambda: has(stack, 3), 60)

    stack.run("exec", first["uid"], "--", "sh", "-c", ": > /tmp/load")
    began = time.monotonic()
    stack.wait_for(lambda: has(stack, 1), 90)
    took_down = time.monotonic() - began

    print(f"{stack.runtime}: up in {took_up:.1f} s, down in {took_down:.1f} s", curve(stack))
    assert took_down >= WINDOW_SECONDS
    [scaled, *_] = stack.api("events/?page_size=200&reason=Scaled")["results"]
    assert scaled["message"].startswith('autoscaler "web": from ')
    assert stack.api("metrics/?deployment=web&seconds=300")["points"][-1]["cpu_limit_millis"]

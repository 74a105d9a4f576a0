"""What a newcomer does, and what must survive: real containers under a real `manage.py up`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import docker_engine
from tests.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 3
  progressDeadlineSeconds: {deadline}
  template:
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: {image}
        command: ["sh", "-c", "echo version {version}; exec sleep 600"]
"""


def manifest(stack: Stack, version: str = "1", **values: object) -> str:
    image = docker_engine.IMAGE if stack.runtime == "docker" else "host"
    return MANIFEST.format(**{"version": version, "image": image, "deadline": 600} | values)


def containers(stack: Stack) -> list[str]:
    """Return the names of what really runs, by asking the engine and the kernel, not Kijabi."""
    cluster = (stack.home / "cluster-id").read_text().strip()
    if stack.runtime == "docker":
        words = ["docker", "ps", "--filter", f"label=dev.kijabi.cluster={cluster}"]
        result = subprocess.run(
            [*words, "--format", "{{.Names}}"], capture_output=True, text=True, check=True
        )
        return sorted(result.stdout.split())
    found = []
    for process in (stack.home / "nodes/n1/sandbox/containers").glob("*/process.json"):
        identity = json.loads(process.read_text())
        stat = f"/proc/{identity['pid']}/stat"
        try:
            fields = Path(stat).read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z" and int(fields[19]) == identity["start"]:
            found.append(process.parent.name)
    return sorted(found)


def expected(stack: Stack) -> list[str]:
    return sorted(f"kijabi-{row['uid']}-1" for row in stack.replicas())


def is_whole(stack: Stack, count: int = 3) -> bool:
    """Everything wanted runs, and nothing else does."""
    return len(stack.ready()) == count and containers(stack) == expected(stack)


def test_apply_roll_roll_back_delete(stack: Stack):
    out = stack.run("apply", "-f", "-", "--wait", text=manifest(stack, "1"))
    assert "created" in out
    assert "all 3 replicas are available" in out
    first = containers(stack)
    assert len(first) == 3

    stack.run("apply", "-f", "-", "--wait", text=manifest(stack, "2"))
    # A rollout is complete while its last old container still takes its time to end.
    stack.wait_for(lambda: is_whole(stack))
    assert set(first).isdisjoint(containers(stack))
    uid = stack.ready()[0]["uid"]
    assert "version 2" in stack.run("logs", uid)

    stack.run("rollout", "undo", "deployment/web")
    stack.run("rollout", "status", "deployment/web")
    assert "version 1" in stack.run("logs", stack.ready()[0]["uid"])

    stack.run("delete", "-f", "-", text=manifest(stack))
    stack.wait_for(lambda: not stack.api("deployments/")["results"])
    assert containers(stack) == []


def test_a_bad_rollout_is_rolled_back(stack: Stack):
    stack.run("apply", "-f", "-", "--wait", text=manifest(stack))

    bad = manifest(stack, deadline=3, image="/no/such/image")
    out = stack.run("apply", "-f", "-", "--wait", text=bad, status=1)

    assert "superseded" in out or "failed" in out
    stack.wait_for(lambda: is_whole(stack))
    reasons = {row["reason"] for row in stack.api("events/")["results"]}
    assert "ProgressDeadlineExceeded" in reasons


@pytest.mark.parametrize("victim", ["worker", "orchestrator.celery", "uvicorn", "-server 127"])
def test_everything_heals_when_a_process_is_killed(docker_stack: Stack, victim: str):
    stack = docker_stack
    stack.run("apply", "-f", "-", "--wait", text=manifest(stack))
    before = containers(stack)

    stack.kill(victim)

    subprocess.run(["docker", "kill", before[0]], capture_output=True, check=True)
    stack.wait_for(lambda: is_whole(stack))
    stack.wait_for(lambda: _scale(stack, 4))
    stack.wait_for(lambda: is_whole(stack, 4))
    assert set(before) <= set(containers(stack))


def _scale(stack: Stack, replicas: int) -> bool:
    try:
        stack.run("scale", "deployment/web", "--replicas", str(replicas))
    except AssertionError:
        return False
    return True


def test_a_flushed_broker_loses_nothing(docker_stack: Stack):
    import redis

    stack = docker_stack
    stack.run("apply", "-f", "-", "--wait", text=manifest(stack))
    broker = redis.Redis.from_url((stack.home / "run/broker-url").read_text())

    broker.flushall()
    stack.run("scale", "deployment/web", "--replicas", "5")
    broker.flushall()
    broker.close()

    stack.wait_for(lambda: is_whole(stack, 5))


def test_containers_removed_behind_our_back_come_back(docker_stack: Stack):
    stack = docker_stack
    stack.run("apply", "-f", "-", "--wait", text=manifest(stack))

    subprocess.run(["docker", "rm", "-f", *containers(stack)], capture_output=True, check=True)

    stack.wait_for(lambda: is_whole(stack))


def test_a_second_up_takes_the_containers_over(stack: Stack):
    stack.run("apply", "-f", "-", "--wait", text=manifest(stack))
    before = containers(stack)

    stack.end()
    assert containers(stack) == before
    stack.start()

    stack.wait_for(lambda: is_whole(stack))
    assert containers(stack) == before


def test_a_second_node_joins(docker_stack: Stack):
    import sys

    stack = docker_stack
    node = subprocess.Popen(
        [sys.executable, "manage.py", "node", "--name", "b", "--runtime", "docker"],
        env=stack.env,
        stderr=subprocess.DEVNULL,
    )
    try:
        stack.wait_for(lambda: len(stack.api("nodes/")["results"]) == 2)
        stack.run("apply", "-f", "-", "--wait", text=manifest(stack))
        assert {row["node"] for row in stack.ready()} == {"n1", "b"}
    finally:
        node.terminate()
        node.wait(20)


def test_a_second_up_on_the_same_folder_is_refused(stack: Stack):
    out = stack.run("up", "--port", "0", status=1)

    assert "runs already" in out
    assert str(stack.process.pid) in out

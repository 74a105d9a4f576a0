"""Whoever can write to the broker can do nothing: a real broker, control worker and node."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import broker as brokers
from tests.letters import attacks, letter_to
from tests.machine import spec
from worker import envelope, protocol
from worker.envelope import CONTROL
from worker.identity import Identity, Keys, path_in
from worker.protocol import NodePhase, ReplicaStatus, StartJob, StopJob

ROOT = Path(__file__).resolve().parents[2]
CONTROL_WORKER = "-m celery -A orchestrator.celery worker -Q control -P threads -c 1"


@dataclass
class System:
    """A control worker and a node as processes of their own, and whoever attacks them."""

    home: Path
    broker: redis.Redis
    processes: list[subprocess.Popen[bytes]]

    @property
    def node(self) -> Identity:
        return Identity.load(path_in(self.home, "n1"))

    @property
    def control_keys(self) -> Keys:
        return Keys(signing=(self.home / "control-key").read_text(), sealing=Keys.make().sealing)

    def ask(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(self.home / "kijabi.sqlite3", timeout=10)) as database:
            return database.execute(query).fetchall()

    def strangers(self) -> list[str]:
        rows = self.ask("SELECT strangers FROM orchestrator_node")
        return json.loads(rows[0][0]) if rows else []

    def put(self, queue: str, message: object) -> None:
        text = message if isinstance(message, bytes | str) else json.dumps(message)
        self.broker.lpush(queue, text)

    def wait_for(self, look: Callable[[], object]) -> None:
        deadline = time.monotonic() + 40
        while not look():
            assert time.monotonic() < deadline, "it did not happen"
            assert all(process.poll() is None for process in self.processes), "one has ended"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until both have taken everything, and the node was heard once more."""
        self.wait_for(lambda: not self.broker.llen("node.n1") and not self.broker.llen("control"))
        heard = self.ask("SELECT seen_at FROM orchestrator_node")
        self.wait_for(lambda: self.ask("SELECT seen_at FROM orchestrator_node") != heard)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    with brokers.running(tmp_path) as url:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KIJABI", "DATABASE"))}
        env |= {"KIJABI_HOME": str(tmp_path), "REDIS_URL": url, "KIJABI_NODE": "n1"}
        env |= {"KIJABI_NO_VENV": "1", "KIJABI_BEAT": "1", "KIJABI_REPORT_SECONDS": "0.5"}
        bootstrap = [sys.executable, "manage.py", "bootstrap", "--node", "n1"]
        subprocess.run(bootstrap, cwd=ROOT, env=env, check=True, capture_output=True)
        log = (tmp_path / "log").open("wb")
        processes = [
            subprocess.Popen([sys.executable, *words.split()], cwd=ROOT, env=env, stderr=log)
            for words in (CONTROL_WORKER, "-m tests.node_process")
        ]
        client = redis.Redis.from_url(url)
        made = System(home=tmp_path, broker=client, processes=processes)
        try:
            made.wait_for(lambda: made.ask("SELECT 1 FROM orchestrator_node"))
            yield made
        finally:
            for process in processes:
                process.kill()
                process.wait()
            client.close()
            log.close()


def message(task: str, arguments: object, **headers: object) -> dict[str, Any]:
    """Return a message as Celery writes it."""
    body = base64.b64encode(json.dumps([[], arguments, {}]).encode()).decode()
    return {
        "body": body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": "x", **headers},
        "properties": {
            "correlation_id": "x",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "q"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": os.urandom(8).hex(),
        },
    }


def poison(task: str) -> list[object]:
    """Return what would stop a Celery worker that has no door."""
    good = message(task, {})
    return [
        "no JSON at all",
        b"\xff\xfe\x00",
        json.dumps(good)[:90],
        "[" * 100_000,
        5,
        [],
        {**good, "body": None},
        {**good, "body": "%"},
        {**good, "headers": None},
        {**good, "properties": {}},
        {k: v for k, v in good.items() if k != "body"},
        message("celery.map", {"task": task, "it": [1]}),
        message("no.such.task", {}),
        message(task, {}, eta="no time"),
        message(task, {"envelope": None}, eta="2099-01-01T00:00:00", retries="many"),
    ]


def reports_of(node: Identity, uid: str) -> list[dict[str, Any]]:
    """Return reports that the control plane must not believe."""
    status = ReplicaStatus(uid=uid, epoch=1, phase=NodePhase.RUNNING)
    fields = {
        "boot": 10**15,
        "sequence": 10**6,
        "sent_at": 0.0,
        "replicas": (status,),
        "full": True,
    }

    def signed(keys: Keys, claimed: str, sender: str) -> dict[str, str]:
        report = protocol.NodeReport(node=claimed, **fields)
        letter = envelope.write(
            sender=sender,
            audience=CONTROL,
            task=protocol.REPORT_TASK,
            arguments={"report": protocol.to_wire(report)},
            now=time.time(),
        )
        return envelope.sign(letter, keys.signing_key)

    good = signed(Keys.make(), node.node, node.node)
    return [
        good,
        signed(node.keys, "n2", node.node),
        signed(node.keys, "n2", "n2"),
        {**good, "body": good["body"][:80]},
        {**good, "key": "\x00"},
        {"body": "{}"},
    ]


@pytest.mark.e2e
def test_a_thousand_bad_messages_cause_no_action_and_no_crash(system: System):
    start = protocol.to_wire(StartJob(uid="j1", replica=spec("good")))
    stop = protocol.to_wire(StopJob(uid="j2", replica="good", epoch=1, grace_seconds=0))
    evil = protocol.to_wire(StartJob(uid="j3", replica=spec("evil")))
    node, control = system.node, system.control_keys
    recorded = [
        message(task, {"envelope": letter_to(node, task, signed_by=control, jobs=[job])})
        for task, job in ((protocol.START_TASK, start), (protocol.STOP_TASK, stop))
    ]
    system.put("node.n1", recorded[0])
    system.wait_for(lambda: system.strangers() == ["good"])
    system.put("node.n1", recorded[1])
    system.wait_for(lambda: system.strangers() == [])
    events = system.ask("SELECT count(*) FROM orchestrator_event")

    sent = 0
    for _ in range(28):
        bad = attacks(node, protocol.START_TASK, by=control, jobs=[evil])
        to_node = [message(protocol.START_TASK, {"envelope": wire}) for wire in bad]
        to_node += [*recorded, *poison(protocol.START_TASK)]
        to_control = [
            message(protocol.REPORT_TASK, {"envelope": wire}) for wire in reports_of(node, "evil")
        ]
        to_control += poison(protocol.REPORT_TASK)
        for queue, messages in (("node.n1", to_node), ("control", to_control)):
            for one in messages:
                system.put(queue, one)
                sent += 1
    system.settle()

    assert sent >= 1000
    assert system.strangers() == []
    told = "SELECT count(*) FROM orchestrator_event WHERE reason != 'NodeRefused'"
    assert system.ask(told) == events
    # What is refused is told once for each name and reason, however often it comes.
    assert system.ask("SELECT count(*) FROM orchestrator_event")[0][0] - events[0][0] <= 5
    assert system.ask("SELECT name FROM orchestrator_node") == [("n1",)]
    assert system.ask("SELECT count(*) FROM orchestrator_job") == [(0,)]


@pytest.mark.e2e
def test_a_worker_that_was_attacked_still_does_what_it_is_told(system: System):
    for one in poison(protocol.START_TASK):
        system.put("node.n1", one)
    job = protocol.to_wire(StartJob(uid="j1", replica=spec("good")))
    letter = letter_to(system.node, protocol.START_TASK, signed_by=system.control_keys, jobs=[job])

    system.put("node.n1", message(protocol.START_TASK, {"envelope": letter}))

    system.wait_for(lambda: system.strangers() == ["good"])

"""What reaches a node: tasks called as messages call them, and the watchdog over their queue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import redis

from tests.letters import an_identity, attacks, letter_to, report_in
from tests.machine import START, STOP, spec
from worker import app as composition
from worker import protocol, tasks
from worker.app import Node
from worker.assignments import AssignmentStore
from worker.config import WorkerConfig
from worker.labels import Owner
from worker.mailbox import Mailbox
from worker.protocol import StartJob
from worker.pulse import Pulse
from worker.runtimes.memory import InMemoryRuntime
from worker.watchdog import Watchdog

IDENTITY = an_identity()
STORE = "assignments.sqlite3"
A, B = (protocol.Resources(memory_limit_bytes=size << 20) for size in (1, 2))
letter = partial(letter_to, IDENTITY)


@pytest.fixture
def reports() -> list[dict[str, object]]:
    return []


@pytest.fixture
def runtime() -> InMemoryRuntime:
    return InMemoryRuntime(Owner(cluster="c", node="n1"))


@pytest.fixture
def node(
    tmp_path: Path, runtime: InMemoryRuntime, reports: list[dict[str, object]]
) -> Iterator[Node]:
    config = WorkerConfig(node="n1", cluster="c", home=tmp_path)

    def send(_task: str, envelope: dict[str, str]) -> bool:
        reports.append(report_in(envelope))
        return True

    made = composition.build(config, IDENTITY, {"in-memory": runtime}, send)
    composition.install(made)
    composition.app.conf.task_always_eager = True
    made.reporter.flush()
    reports.clear()
    yield made
    composition.app.conf.task_always_eager = False
    composition._installed.clear()
    made.close()


def test_without_a_node_a_task_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(composition, "_installed", [])

    with pytest.raises(LookupError, match="install"):
        composition.current()


def test_a_start_message_starts_and_reports(
    node: Node, runtime: InMemoryRuntime, reports: list[dict[str, object]]
):
    tasks.start_containers.delay(
        envelope=letter(protocol.START_TASK, jobs=[protocol.to_wire(START)])
    )

    assert len(runtime.list()) == 1
    status = reports[-1]["replicas"][0]
    assert (status["uid"], status["phase"], status["ready"]) == ("r1", "running", True)


def test_one_malformed_job_does_not_hold_up_the_others(node: Node, runtime: InMemoryRuntime):
    good = protocol.to_wire(StartJob(uid="j2", replica=spec("r2")))

    tasks.start_containers.delay(
        envelope=letter(protocol.START_TASK, jobs=[{"uid": "j1"}, "junk", None, good])
    )

    assert [info.replica for info in runtime.list()] == ["r2"]


def test_what_a_newer_control_plane_adds_is_ignored(node: Node, runtime: InMemoryRuntime):
    job = {**protocol.to_wire(START), "priority": 7}

    tasks.start_containers.delay(envelope=letter(protocol.START_TASK, jobs=[job]), lane="fast")

    assert len(runtime.list()) == 1


def test_stop_update_and_retry_find_their_replica(node: Node, runtime: InMemoryRuntime):
    tasks.start_containers.delay(
        envelope=letter(protocol.START_TASK, jobs=[protocol.to_wire(START)])
    )
    limits = protocol.Resources(memory_limit_bytes=1 << 20)
    update = protocol.UpdateJob(uid="u", replica="r1", epoch=1, resources=limits)
    retry = protocol.RetryJob(uid="t", replica="r1", epoch=1)

    tasks.update_containers.delay(
        envelope=letter(protocol.UPDATE_TASK, jobs=[protocol.to_wire(update)])
    )
    tasks.retry_containers.delay(
        envelope=letter(protocol.RETRY_TASK, jobs=[protocol.to_wire(retry)])
    )
    assert runtime.resources_of("kijabi-r1-1") == limits
    assert {r.uid for r in node.agent.statuses()[0].jobs} == {"j1", "u", "t"}

    tasks.stop_containers.delay(
        envelope=letter(protocol.STOP_TASK, jobs=[protocol.to_wire(replace(STOP, grace_seconds=0))])
    )
    assert runtime.list() == ()


def test_a_ping_is_answered_and_may_ask_for_everything(
    node: Node, reports: list[dict[str, object]], broker: redis.Redis
):
    node.pulse = Pulse("n1", lambda token: {"signed": token}, lambda: broker)
    tasks.ping.delay(envelope=letter(protocol.PING_TASK, token="t1"))
    node.reporter.flush()
    tasks.ping.delay(envelope=letter(protocol.PING_TASK, token="t2", full=True))
    node.reporter.flush()

    assert json.loads(broker.get(protocol.heard_key("n1"))) == {"signed": "t2"}
    assert [report.get("full", False) for report in reports] == [True]
    labels = dict(reports[0]["facts"]["labels"])
    assert (labels["kubernetes.io/hostname"], labels["kubernetes.io/os"]) == ("n1", "linux")
    assert reports[0]["facts"]["runtimes"] == ["in-memory"]


def test_a_malformed_log_request_is_dropped(node: Node, caplog: pytest.LogCaptureFixture):
    tasks.stream_logs.delay(envelope=letter(protocol.STREAM_LOGS_TASK, request={"uid": 5}))

    assert "malformed" in caplog.text


def test_a_node_without_a_runtime_says_what_to_do(tmp_path: Path):
    config = WorkerConfig(node="n1", cluster="c", home=tmp_path)
    node = composition.build(config, IDENTITY, {}, lambda *_report: True)

    facts = composition.describe(config, node.agent, node.mailbox.refusals)

    assert facts.runtimes == ()
    assert "install Docker" in facts.notes[0]


def test_a_node_says_that_it_drops_what_it_is_sent(tmp_path: Path):
    config = WorkerConfig(node="n1", cluster="c", home=tmp_path)
    node = composition.build(config, IDENTITY, {}, lambda _report: True)

    node.mailbox.open(protocol.PING_TASK, letter_to(IDENTITY, protocol.PING_TASK, now=0.0))

    notes = composition.describe(config, node.agent, node.mailbox.refusals).notes
    assert "what the control plane sends is dropped here: " in notes[-1]
    assert "set the one that is wrong (NTP)" in notes[-1]


class Queue:
    """Stands in for the broker's one command the watchdog uses; None: the broker is away."""

    def __init__(self) -> None:
        self.waiting: int | None = 0

    def llen(self, name: str) -> int:
        assert name == "node.n1"
        if self.waiting is None:
            raise redis.ConnectionError
        return self.waiting


def test_a_worker_is_deaf_when_messages_wait_and_none_arrives(node: Node):
    queue = Queue()
    watchdog = Watchdog(node, queue)
    queue.waiting = 3

    assert [watchdog.is_deaf(now) for now in (100.0, 110.0, 115.1)] == [False, False, True]


@pytest.mark.parametrize("pause", [0, None], ids=["an empty queue", "a broker that is away"])
def test_waiting_counts_anew_after(node: Node, pause: int | None):
    queue = Queue()
    watchdog = Watchdog(node, queue)
    queue.waiting = 3
    watchdog.is_deaf(100.0)

    queue.waiting = pause
    assert not watchdog.is_deaf(120.0)
    queue.waiting = 3

    assert not watchdog.is_deaf(121.0)


def test_a_worker_that_takes_messages_is_not_deaf_however_long_its_queue(node: Node):
    queue = Queue()
    queue.waiting = 1000
    watchdog = Watchdog(node, queue)
    watchdog.is_deaf(100.0)

    node.latest_message_at = 112.0

    assert not watchdog.is_deaf(120.0)


def test_a_recorded_letter_does_nothing_a_second_time_also_after_a_restart(
    node: Node, runtime: InMemoryRuntime, reports: list[dict[str, object]]
):
    update = letter(
        protocol.UPDATE_TASK,
        jobs=[protocol.to_wire(protocol.UpdateJob(uid="u1", replica="r1", epoch=1, resources=A))],
    )
    newer = protocol.to_wire(protocol.UpdateJob(uid="u2", replica="r1", epoch=1, resources=B))
    tasks.start_containers.delay(
        envelope=letter(protocol.START_TASK, jobs=[protocol.to_wire(START)])
    )
    tasks.update_containers.delay(envelope=update)
    tasks.update_containers.delay(envelope=letter(protocol.UPDATE_TASK, jobs=[newer]))

    tasks.update_containers.delay(envelope=update)
    node.mailbox = Mailbox(IDENTITY, AssignmentStore(node.config.state_dir / STORE), time.time)
    tasks.update_containers.delay(envelope=update)

    assert runtime.resources_of("kijabi-r1-1") == B
    assert node.mailbox.refusals.counts == {"replayed": 1}


def test_a_recorded_start_brings_nothing_back(node: Node, runtime: InMemoryRuntime):
    start = letter(protocol.START_TASK, jobs=[protocol.to_wire(START)])
    stop = protocol.to_wire(replace(STOP, grace_seconds=0))
    tasks.start_containers.delay(envelope=start)
    tasks.stop_containers.delay(envelope=letter(protocol.STOP_TASK, jobs=[stop]))

    tasks.start_containers.delay(envelope=start)

    assert runtime.list() == ()


def test_what_can_no_longer_come_again_is_forgotten(tmp_path: Path):
    store = AssignmentStore(tmp_path / STORE)
    store.note_taken("old", 100.0, now=50.0)
    store.note_taken("new", 200.0, now=150.0)

    assert [store.has_taken(nonce) for nonce in ("old", "new")] == [False, True]


def test_a_thousand_bad_messages_do_nothing(
    node: Node, runtime: InMemoryRuntime, reports: list[dict[str, object]]
):
    bad = [
        wire
        for number in range(150)
        for wire in attacks(IDENTITY, protocol.START_TASK, jobs=[job_of(f"r{number}")])
    ]
    for wire in bad:
        tasks.start_containers.delay(envelope=wire)

    assert len(bad) >= 1000
    assert runtime.list() == ()
    assert reports == []
    assert sum(node.mailbox.refusals.counts.values()) == len(bad)


def job_of(uid: str) -> dict[str, object]:
    return protocol.to_wire(StartJob(uid=f"job-{uid}", replica=spec(uid)))


def test_what_cannot_be_kept_is_said_once_and_taken_when_it_comes_again(
    node: Node, runtime: InMemoryRuntime, caplog: pytest.LogCaptureFixture
):
    start = letter(protocol.START_TASK, jobs=[protocol.to_wire(START)])
    store = node.mailbox._store
    store._connection.execute("PRAGMA query_only = 1")
    tasks.start_containers.delay(envelope=start)
    tasks.start_containers.delay(envelope=start)
    notes = node.reporter._facts().notes
    said = [record.message for record in caplog.records if record.levelname == "ERROR"]

    store._connection.execute("PRAGMA query_only = 0")
    tasks.start_containers.delay(envelope=start)

    assert len(said) == 1
    assert "make room on its disk" in said[0]
    assert said[0] in notes
    assert [info.name for info in runtime.list()] == ["kijabi-r1-1"]
    assert node.reporter._facts().notes == ()


def test_a_node_says_once_that_it_is_refused_and_once_that_it_is_not(
    node: Node, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(node.pulse, "answer", lambda _token: True)
    caplog.set_level("INFO", "worker.tasks")

    for why in ("upgrade us", "upgrade us", ""):
        words = {"refused": why} if why else {}
        tasks.ping.delay(envelope=letter(protocol.PING_TASK, token="t", full=False, **words))

    said = [record.message for record in caplog.records if record.name == "worker.tasks"]
    assert said == [
        "The control plane refuses what this node says: upgrade us",
        "The control plane believes this node again",
    ]

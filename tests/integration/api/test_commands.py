"""Commands over HTTP: what is refused, what is written down, and what a client reads."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator

import pytest
import redis
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from redis.exceptions import RedisError

from orchestrator.models import Event, Replica
from orchestrator.operations import command_runs
from orchestrator.operations.accounts import Role
from orchestrator.operations.answer_stream import AnswerStream
from tests.cluster import Cluster
from tests.integration.api.requests import post
from tests.integration.conftest import client_of
from worker import command_stream, commands
from worker.command_stream import CommandStreams
from worker.runtimes.base import ExecResult

ARGV = ("ls", "-l", "my file")
LS = {"command": list(ARGV), "timeout_seconds": 1}


@pytest.fixture
def node(cluster: Cluster, broker_url: str, settings, monkeypatch) -> Iterator[None]:
    """The broker is there for both sides; task messages need none."""
    settings.REDIS_URL = broker_url
    monkeypatch.setattr(command_stream, "WANTED_CHECK_SECONDS", 0.05)
    cluster.node.commands = CommandStreams(
        cluster.node.agent, lambda: redis.Redis.from_url(broker_url)
    )
    yield
    cluster.node.commands.close()


def run(
    uid: str,
    body: object = LS,
    *,
    on_line: Callable[[dict], bool] = lambda _: True,
    **headers: str,
) -> tuple[int, list[dict] | dict]:
    """Return status and items (or problem); `on_line` says whether to go on reading."""
    credentials = client_of(Role.OPERATOR)._credentials["HTTP_AUTHORIZATION"]

    async def ask():
        answer = await AsyncClient().post(
            f"/api/v1/replicas/{uid}/exec/",
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": credentials, **headers},
        )
        if not answer.streaming:
            return answer.status_code, answer.json()
        assert answer["Content-Type"] == "application/x-ndjson"
        items: list[dict] = []
        async for line in answer.streaming_content:
            items.append(json.loads(line))
            if not on_line(items[-1]):
                break
        await answer.streaming_content.aclose()
        return answer.status_code, items

    return async_to_sync(ask)()


def told() -> list[tuple[str, str, str]]:
    rows = Event.objects.filter(reason__startswith="Command").order_by("pk")
    return [(row.reason, row.actor, row.message) for row in rows]


def ending(outcome: str, message: str, exit_code: int | None = None) -> dict:
    return {"outcome": outcome, "exit_code": exit_code, "message": message}


@pytest.mark.usefixtures("node")
def test_both_streams_and_then_the_code(cluster: Cluster, replica: Replica):
    cluster.runtime.exec_pieces[ARGV] = [("stdout", b"fine\n"), ("stderr", "schlimm ö\n".encode())]
    cluster.runtime.exec_results[ARGV] = ExecResult(exit_code=2, output="")

    status, items = run(replica.uid)

    assert status == 200
    assert items == [
        {"stream": "stdout", "text": "fine\n"},
        {"stream": "stderr", "text": "schlimm ö\n"},
        ending("exited", "it exited with code 2", 2),
    ]


@pytest.mark.usefixtures("node")
def test_what_was_run_by_whom_and_how_it_ended_is_written_down(replica: Replica):
    run(replica.uid)

    begun, ended = Event.objects.filter(reason__startswith="Command").order_by("pk")
    uid = replica.uid
    assert told() == [
        ("CommandRun", "operator", f"operator runs in replica {uid}: ls -l 'my file'"),
        (
            "CommandEnded",
            "operator",
            f"the command in replica {uid} is over: it exited with code 0",
        ),
    ]
    assert (ended.cause, begun.cause) == (begun, None)
    subjects = {(e.replica, e.deployment, e.namespace, e.node) for e in (begun, ended)}
    assert subjects == {(uid, "web", "default", "n1")}


def test_it_is_written_down_before_it_is_sent(replica: Replica, node, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "orchestrator.operations.commands.publish", lambda *_: bool(seen.append(told()))
    )

    run(replica.uid)

    assert [reason for reason, _, _ in seen[0]] == ["CommandRun"]


@pytest.mark.usefixtures("node")
def test_a_command_that_takes_too_long_is_killed(cluster: Cluster, replica: Replica):
    cluster.runtime.faults.hanging_commands.add(ARGV)

    status, items = run(replica.uid)

    assert (status, items) == (
        200,
        [ending("timed-out", "it took longer than 1 s; the command was killed")],
    )
    assert Event.objects.get(reason="CommandEnded").severity == "warning"


@pytest.mark.usefixtures("node")
def test_much_output_is_cut(cluster: Cluster, replica: Replica):
    cluster.runtime.exec_pieces[ARGV] = itertools.repeat(("stdout", b"x" * 10_000))

    _, items = run(replica.uid)

    assert items[-1]["outcome"] == "cut"
    assert sum(len(item["text"]) for item in items[:-1]) == commands.MAX_OUTPUT_BYTES


@pytest.mark.usefixtures("node")
def test_a_client_that_leaves_ends_the_command(cluster: Cluster, replica: Replica):
    cluster.runtime.exec_pieces[ARGV] = [("stdout", b"first\n")]
    cluster.runtime.faults.hanging_commands.add(ARGV)

    began = time.monotonic()
    run(replica.uid, {**LS, "timeout_seconds": 600}, on_line=lambda _: False)
    cluster.node.commands.close()

    assert not cluster.node.commands._running
    assert time.monotonic() - began < 5
    assert "whoever asked has left" in told()[-1][2]


@pytest.mark.usefixtures("node")
def test_what_the_node_cannot_run_is_told_last(cluster: Cluster, replica: Replica):
    cluster.runtime.die(cluster.container_of(replica))

    status, items = run(replica.uid)

    assert (status, items) == (200, [ending("failed", f"replica {replica.uid} is not running")])


@pytest.mark.usefixtures("node")
def test_a_node_that_does_not_answer_is_named(replica: Replica, monkeypatch):
    monkeypatch.setattr("orchestrator.operations.commands.publish", lambda *_: True)
    monkeypatch.setattr(command_runs, "FIRST_ANSWER_SECONDS", 0.1)

    status, problem = run(replica.uid)

    assert status == 504
    assert "node n1 did not answer" in problem["detail"]
    assert "node n1 did not answer" in told()[-1][2]


@pytest.mark.usefixtures("node")
def test_a_node_that_falls_silent_is_told_last(cluster: Cluster, replica: Replica, monkeypatch):
    monkeypatch.setattr(command_runs, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(command_runs, "BLOCK_MS", 50)
    cluster.runtime.faults.hanging_commands.add(ARGV)

    _, items = run(replica.uid)

    assert items == [ending("lost", "node n1 stopped answering; nobody knows how it ended")]


def test_a_broker_that_is_down_is_told(replica: Replica):
    status, problem = run(replica.uid)

    assert status == 503
    assert "the broker does not answer" in problem["detail"]
    assert [reason for reason, _, _ in told()] == ["CommandRun", "CommandEnded"]


@pytest.mark.usefixtures("node")
def test_the_broker_may_vanish_while_it_runs(cluster: Cluster, replica: Replica, monkeypatch):
    async def lost(*_: object) -> None:
        raise RedisError

    def go_on(_item: dict) -> bool:
        monkeypatch.setattr(AnswerStream, "read", lost)
        return True

    cluster.runtime.exec_pieces[ARGV] = [("stdout", b"first\n")]
    cluster.runtime.faults.hanging_commands.add(ARGV)

    _, items = run(replica.uid, on_line=go_on)

    assert [item.get("text") for item in items] == ["first\n", None]
    assert "the broker does not answer any more" in items[-1]["message"]


@pytest.mark.parametrize("phase", ["stopping", "stopped", "lost"])
def test_a_replica_that_is_over_is_refused(replica: Replica, phase: str):
    Replica.objects.update(phase=phase)

    status, problem = run(replica.uid)

    assert status == 409
    assert phase in problem["detail"]
    assert told() == []


def test_a_replica_without_a_node_is_refused(replica: Replica):
    Replica.objects.update(phase="pending", node=None)

    assert run(replica.uid)[0] == 409


@pytest.mark.parametrize("uid", ["nonesuch", "%00"])
def test_an_unknown_replica_is_refused(cluster: Cluster, uid: str):
    assert run(uid)[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({}, id="nothing"),
        pytest.param([], id="no object"),
        pytest.param({"command": "ls -l"}, id="no list"),
        pytest.param({"command": []}, id="no words"),
        pytest.param({"command": ["ls", ""]}, id="an empty word"),
        pytest.param({"command": ["sleep", 5]}, id="a number"),
        pytest.param({"command": ["a\u0000b"]}, id="a NUL"),
        pytest.param({"command": ["\ud800"]}, id="half a character"),
        pytest.param({"command": ["x"] * 65}, id="too many words"),
        pytest.param({"command": ["ä" * 4097]}, id="too long"),
        pytest.param({"command": ["ls"], "timeout_seconds": 0}, id="no time"),
        pytest.param({"command": ["ls"], "timeout_seconds": 601}, id="too much time"),
        pytest.param({"command": ["ls"], "timeout_seconds": "soon"}, id="no number"),
    ],
)
def test_a_command_out_of_bounds_is_refused(replica: Replica, body: object):
    status, problem = run(replica.uid, body)

    assert status == 400
    assert problem["detail"]
    assert told() == []


def test_a_key_is_refused_since_no_answer_is_kept(replica: Replica):
    status, problem = run(replica.uid, **{"Idempotency-Key": "k"})

    assert status == 400
    assert "Idempotency-Key" in problem["detail"]


@pytest.mark.usefixtures("node")
def test_words_arrive_as_they_were(cluster: Cluster, replica: Replica):
    words = (" ", "a  b ", "ü", "-")
    cluster.runtime.exec_results[words] = ExecResult(exit_code=9, output="")

    _, items = run(replica.uid, {"command": list(words)})

    assert items[-1]["exit_code"] == 9


def test_a_viewer_may_not(replica: Replica):
    answer = post(client_of(Role.VIEWER), f"/api/v1/replicas/{replica.uid}/exec/", LS)

    assert answer.status_code == 403
    assert "operator" in answer.json()["detail"]

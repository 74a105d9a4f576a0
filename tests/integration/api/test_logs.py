"""Logs over HTTP: from a live replica through a real broker, or what was kept of a dead one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.utils import timezone

from orchestrator.models import Replica
from orchestrator.operations import log_reader
from orchestrator.operations.accounts import Role
from orchestrator.operations.answer_stream import AnswerStream
from tests.cluster import Cluster
from tests.integration.conftest import client_of


def read(
    uid: str, query: str = "", *, on_line: Callable[[list[bytes]], bool] = lambda _: True
) -> tuple[int, list[str] | dict]:
    """Return status and lines (or problem); `on_line` says whether to go on reading."""
    credentials = client_of(Role.VIEWER)._credentials["HTTP_AUTHORIZATION"]

    async def ask():
        answer = await AsyncClient().get(
            f"/api/v1/replicas/{uid}/logs/{query}", headers={"Authorization": credentials}
        )
        if not answer.streaming:
            is_text = answer["Content-Type"].startswith("text/plain")
            return answer.status_code, answer.text.splitlines() if is_text else answer.json()
        lines: list[bytes] = []
        async for part in answer.streaming_content:
            lines.append(part.rstrip(b"\n"))
            if not on_line(lines):
                break
        await answer.streaming_content.aclose()
        return answer.status_code, [line.decode() for line in lines]

    return async_to_sync(ask)()


@pytest.mark.usefixtures("logs_of_node", "container")
@pytest.mark.parametrize(
    ("query", "numbers"), [("", [0, 1, 2]), ("?tail=2", [1, 2]), ("?tail=all", [0, 1, 2])]
)
def test_the_latest_lines_of_a_live_replica(replica: Replica, query: str, numbers: list[int]):
    assert read(replica.uid, query) == (200, [f"line {number}" for number in numbers])


@pytest.mark.usefixtures("logs_of_node")
def test_following_goes_on_until_the_reader_leaves(
    cluster: Cluster, replica: Replica, container: str, broker_url: str
):
    def go_on(lines: list[bytes]) -> bool:
        if len(lines) < 5:
            cluster.runtime.print_line(container, f"later {len(lines)}")
        return len(lines) < 5

    status, lines = read(replica.uid, "?follow=true&tail=1", on_line=go_on)

    assert (status, lines[0]) == (200, "line 2")
    assert lines[1:] == ["later 1", "later 2", "later 3", "later 4"]
    with redis.Redis.from_url(broker_url) as client:
        assert not client.keys("logs:*:wanted")


@pytest.mark.usefixtures("logs_of_node")
def test_following_ends_with_the_container(cluster: Cluster, replica: Replica, container: str):
    cluster.runtime.die(container)

    assert read(replica.uid, "?follow=true") == (200, ["line 0", "line 1", "line 2"])


@pytest.mark.usefixtures("logs_of_node", "container")
def test_a_node_that_does_not_have_it_says_so(cluster: Cluster, replica: Replica, monkeypatch):
    monkeypatch.setattr(cluster.node.agent, "runtime_of", lambda _: None)

    status, problem = read(replica.uid)

    assert status == 502
    assert "is not on this node" in problem["detail"]


@pytest.mark.parametrize("query", ["", "?follow=true"])
@pytest.mark.usefixtures("logs_of_node")
def test_a_node_that_does_not_answer_is_named(replica: Replica, monkeypatch, query: str):
    monkeypatch.setattr("orchestrator.operations.log_requests.publish", lambda *_: True)
    monkeypatch.setattr(log_reader, "FIRST_ANSWER_SECONDS", 0.1)

    status, problem = read(replica.uid, query)

    assert status == 504
    assert "node n1 did not answer" in problem["detail"]


@pytest.mark.parametrize("query", ["", "?follow=true"])
def test_a_broker_that_is_down_is_told(replica: Replica, query: str):
    status, problem = read(replica.uid, query)

    assert status == 503
    assert "broker" in problem["detail"]


@pytest.mark.parametrize(
    ("phase", "query", "lines"),
    [
        ("stopped", "", ["first", "last"]),
        ("stopped", "?tail=1", ["last"]),
        ("stopped", "?tail=0", []),
        ("running", "?previous=true", ["first", "last"]),
    ],
)
def test_what_was_kept_of_a_dead_run(replica: Replica, phase: str, query: str, lines: list[str]):
    Replica.objects.update(phase=phase, log_tail="first\nlast\n", died_at=timezone.now())

    assert read(replica.uid, query) == (200, lines)


def test_nothing_was_kept_of_a_run_that_never_ended(replica: Replica):
    status, problem = read(replica.uid, "?previous=true")

    assert status == 404
    assert "no earlier run" in problem["detail"]


def test_the_broker_may_vanish_while_reading(
    replica: Replica, container: str, logs_of_node, monkeypatch
):
    async def lost(*_: object) -> None:
        raise redis.ConnectionError

    def go_on(lines: list[bytes]) -> bool:
        monkeypatch.setattr(AnswerStream, "read", lost)
        return len(lines) < 10

    status, lines = read(replica.uid, "?follow=true", on_line=go_on)

    assert status == 200
    assert lines[-1] == "kijabi: the broker does not answer any more; the log ends here"

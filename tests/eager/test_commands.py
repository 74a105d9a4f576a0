"""A command from one end to the other: event, message, node, runtime, broker, reader, event."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import redis
from asgiref.sync import async_to_sync

from orchestrator.models import Event
from orchestrator.operations import command_runs
from orchestrator.operations.command_runs import Ending, Item, Output
from orchestrator.operations.commands import CommandInvalid
from tests import broker
from tests.cluster import Cluster, manifest
from worker import command_stream
from worker.command_stream import CommandStreams
from worker.runtimes.base import ExecResult

ARGV = ("uname", "-a")


@pytest.fixture
def replica(cluster: Cluster, tmp_path: Path, settings, monkeypatch) -> Iterator[str]:
    """A replica on a node that shares a broker with the control plane."""
    monkeypatch.setattr(command_stream, "WANTED_CHECK_SECONDS", 0.05)
    folder = tmp_path / "broker"
    folder.mkdir()
    with broker.running(folder) as url:
        settings.REDIS_URL = url
        cluster.node.commands = CommandStreams(
            cluster.node.agent, lambda: redis.Redis.from_url(url)
        )
        cluster.apply(manifest(replicas=1))
        yield cluster.live()[0].uid
        cluster.node.commands.close()


def run(replica: str, *, most: int = 100, **options: object) -> list[Item]:
    """Return what a reader gets who stops after so many items."""

    async def read() -> list[Item]:
        found: list[Item] = []
        items = await command_runs.run(replica, ARGV, actor="eve", via="session", **options)
        async with aclosing(items):
            async for item in items:
                found.append(item)
                if len(found) == most:
                    break
        return found

    return async_to_sync(read)()


def reasons() -> list[str]:
    return list(Event.objects.filter(actor="eve").order_by("pk").values_list("reason", flat=True))


def test_a_command_runs_and_its_output_comes_back(cluster: Cluster, replica: str):
    cluster.runtime.exec_results[ARGV] = ExecResult(exit_code=0, output="Linux\n")

    assert run(replica) == [
        Output(stream="stdout", text="Linux\n"),
        Ending(outcome="exited", exit_code=0, message="it exited with code 0"),
    ]
    assert reasons() == ["CommandRun", "CommandEnded"]


def test_a_command_outlives_neither_its_time_nor_its_reader(cluster: Cluster, replica: str):
    cluster.runtime.exec_pieces[ARGV] = [("stderr", b"wait\n")]
    cluster.runtime.faults.hanging_commands.add(ARGV)

    assert run(replica, timeout_seconds=1)[-1].outcome == "timed-out"
    assert run(replica, timeout_seconds=600, most=1) == [Output(stream="stderr", text="wait\n")]
    cluster.node.commands.close()
    assert not cluster.node.commands._running


def test_a_message_that_comes_twice_runs_once(cluster: Cluster, replica: str, monkeypatch):
    from orchestrator.operations import commands

    publish = commands.publish
    monkeypatch.setattr(commands, "publish", lambda *a: publish(*a) and publish(*a))
    ran = []
    real = cluster.runtime.exec
    monkeypatch.setattr(
        cluster.runtime, "exec", lambda *a, **o: (ran.append(a[1]), real(*a, **o))[1]
    )

    run(replica)

    assert ran == [ARGV]


def test_what_cannot_be_is_refused_before_anything_is_written(replica: str):
    with pytest.raises(CommandInvalid, match="seconds"):
        run(replica, timeout_seconds=0)

    assert reasons() == []

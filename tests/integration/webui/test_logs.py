"""Following logs on a page: a real broker, the node's own log streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest
import redis
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.http import HttpResponseBase
from django.test import AsyncRequestFactory, Client
from django.utils import timezone

from orchestrator.models import Replica
from tests.cluster import Cluster, manifest
from webui.views import log_stream

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("logs_of_node")]

OF_WEB = "namespace=default&deployment=web"


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at every few seconds is looked at all the time."""
    monkeypatch.setattr(log_stream, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(log_stream, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(log_stream, "HEARTBEAT_SECONDS", 0.1)


@pytest.fixture
def session(browser_of: Callable[[str], Client]) -> str:
    return browser_of("viewer").cookies["sessionid"].value


class Reader:
    """Somebody who reads a stream as Django's handler does, and may leave at any time."""

    def __init__(self, response: HttpResponseBase) -> None:
        self._content = aiter(response)

    async def part(self) -> bytes | None:
        """Return the next part; None after the last."""
        async with asyncio.timeout(10):
            return await anext(self._content, None)

    async def until(self, word: str) -> list[str]:
        """Return the lines up to the first with a word in it."""
        texts: list[str] = []
        while not texts or word not in texts[-1]:
            part = await self.part()
            assert part is not None, f"the stream ended after {texts}"
            texts += [json.loads(part)["text"]] if part.strip() else []
        return texts

    async def leave(self) -> None:
        """Go, and wait until everything that was begun for this reader has ended."""
        await self._content.aclose()
        del self._content
        async with asyncio.timeout(10):
            while asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.sleep(0.01)


async def ask(session: str, query: str) -> HttpResponseBase:
    request = AsyncRequestFactory().get(f"/logs/stream/?{query}")
    request.session = SessionStore(session)
    return await log_stream.stream(request)


async def follow(session: str, query: str) -> Reader:
    return Reader(await ask(session, query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(OF_WEB, ["line 0", "line 1", "line 2", "later"], id="of-a-deployment"),
        pytest.param("replica={uid}", ["line 0", "line 1", "line 2", "later"], id="of-a-replica"),
        pytest.param(f"{OF_WEB}&q=-1", ["line 0", "line 2", "later"], id="filtered"),
    ],
)
def test_it_begins_with_the_latest_lines_and_goes_on(
    cluster: Cluster,
    replica: Replica,
    container: str,
    session: str,
    query: str,
    expected: list[str],
) -> None:
    async def look() -> list[str]:
        reader = await follow(session, query.format(uid=replica.uid))
        found = await reader.until("line 2")
        cluster.runtime.print_line(container, "later")
        found += await reader.until("later")
        await reader.leave()
        return found

    assert asyncio.run(look()) == expected


def test_replicas_and_runs_that_come_to_be_later_are_followed(
    cluster: Cluster, replica: Replica, container: str, session: str
) -> None:
    def add_a_replica() -> None:
        cluster.apply(manifest(replicas=2))
        [other] = [row for row in cluster.live() if row.uid != replica.uid]
        cluster.runtime.print_line(cluster.container_of(other), "the other")

    def run_anew() -> None:
        Replica.objects.filter(pk=replica.pk).update(container_id="another")
        cluster.runtime.print_line(container, "the next run")

    async def look() -> None:
        reader = await follow(session, OF_WEB)
        await reader.until("line 2")
        await sync_to_async(add_a_replica)()
        await reader.until("the other")
        cluster.runtime.die(container)
        await reader.until("this run has ended")
        await sync_to_async(run_anew)()
        await reader.until("the next run")
        await reader.leave()

    asyncio.run(look())


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.2])
@pytest.mark.usefixtures("container")
def test_nothing_is_left_behind_by_a_reader_who_leaves(
    session: str, broker_url: str, seconds: float
) -> None:
    async def look() -> None:
        reader = await follow(session, OF_WEB)
        await reader.part()
        await asyncio.sleep(seconds)
        await reader.leave()

    asyncio.run(look())
    with redis.Redis.from_url(broker_url) as client:
        assert not client.keys("logs:*:wanted")


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda: Session.objects.all().delete(), id="logged-out"),
        pytest.param(lambda: User.objects.update(is_active=False), id="closed-account"),
        pytest.param(lambda: Group.objects.all().delete(), id="without-a-role"),
    ],
)
@pytest.mark.usefixtures("container")
def test_it_ends_with_the_right_to_read(session: str, end: Callable[[], object]) -> None:
    async def look() -> int:
        reader = await follow(session, OF_WEB)
        await reader.until("line 2")
        await sync_to_async(end)()
        while await reader.part() is not None:
            pass
        return (await ask(session, OF_WEB)).status_code

    assert asyncio.run(look()) == 403


def test_a_replica_that_ended_is_not_followed(
    replica: Replica, container: str, session: str
) -> None:
    Replica.objects.update(phase="stopped", finished_at=timezone.now())

    async def look() -> list[bytes | None]:
        reader = await follow(session, f"replica={replica.uid}&replica=%00")
        found = [await reader.part() for _ in range(5)]
        await reader.leave()
        return found

    assert asyncio.run(look()) == [b"\n"] * 5

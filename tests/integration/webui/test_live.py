"""The stream that tells open pages of changes: a real broker, the application itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.test import Client

from orchestrator.operations import announce
from tests import broker
from webui.live import LiveStream, Subscription

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def publish(broker_url: str, settings) -> Iterator[Callable[[str], None]]:
    settings.REDIS_URL = broker_url
    with redis.Redis.from_url(broker_url) as client:
        yield lambda topic: client.publish(announce.CHANNEL, json.dumps([topic]))


@pytest.fixture
def session(browser_of) -> str:
    client: Client = browser_of("viewer")
    return client.cookies["sessionid"].value


@pytest.fixture
def not_eager() -> Iterator[None]:
    conf = announce.app.conf
    before, conf.task_always_eager = conf.task_always_eager, False
    yield
    conf.task_always_eager = before


class Tab:
    """One open tab: what it received, and a way to close it."""

    def __init__(self, application: LiveStream, query: str, headers: dict[str, str]) -> None:
        self.status = 0
        self.texts: list[str] = []
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/live/",
            "query_string": query.encode(),
            "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
        }
        self.task = asyncio.create_task(application(scope, self._inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.texts.append(message.get("body", b"").decode())

    async def until(self, word: str) -> None:
        async with asyncio.timeout(10):
            while not any(word in text for text in self.texts):
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self._inbox.put_nowait({"type": "http.disconnect"})
        await self.task


def test_a_tab_is_told_of_its_topics_only(session: str, publish) -> None:
    async def look() -> None:
        headers = {"cookie": f"sessionid={session}"}
        tab = Tab(LiveStream(None), "t=deployment/default/web", headers)
        await tab.until("changed")
        tab.texts.clear()
        publish("deployment/default/api")
        publish("deployment/default/web")
        await tab.until("changed")
        await tab.close()
        [told] = [text for text in tab.texts if text.startswith("event: changed")]
        assert json.loads(told.split("data: ")[1]) == {
            "topics": ["deployment/default/web"],
            "broker": True,
        }

    asyncio.run(look())


def test_many_tabs_share_one_listener(session: str, publish, broker_url: str) -> None:
    async def look() -> None:
        application = LiveStream(None)
        headers = {"cookie": f"sessionid={session}"}
        tabs = [Tab(application, "t=*", headers) for _ in range(50)]
        await tabs[0].until("changed")
        await asyncio.gather(*(tab.until("retry") for tab in tabs))
        with redis.Redis.from_url(broker_url) as client:
            assert dict(client.pubsub_numsub(announce.CHANNEL))[announce.CHANNEL.encode()] == 1
        for tab in tabs:
            tab.texts.clear()
        publish("node/a")
        await asyncio.gather(*(tab.until("changed") for tab in tabs))
        await asyncio.gather(*(tab.close() for tab in tabs))

    asyncio.run(look())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"cookie": "sessionid=made-up"},
        {"cookie": "\x00;;=;"},
        {"cookie": "sessionid={session}", "sec-fetch-site": "cross-site"},
    ],
)
def test_nobody_listens_without_a_login(session: str, publish, headers: dict[str, str]) -> None:
    async def look() -> None:
        filled = {key: value.replace("{session}", session) for key, value in headers.items()}
        tab = Tab(LiveStream(None), "t=*", filled)
        await tab.task
        assert (tab.status, "".join(tab.texts)) == (204, "")

    asyncio.run(look())


def test_nobody_listens_without_a_role(browser_of, publish) -> None:
    key = browser_of("").cookies["sessionid"].value

    async def look() -> None:
        tab = Tab(LiveStream(None), "t=*", {"cookie": f"sessionid={key}"})
        await tab.task
        assert tab.status == 204

    asyncio.run(look())


def test_a_strange_cookie_beside_the_session_does_no_harm(session: str, publish) -> None:
    async def look() -> None:
        cookie = f"odd[name]=1; {{}}; sessionid={session}"
        tab = Tab(LiveStream(None), "t=*", {"cookie": cookie})
        await tab.until("changed")
        assert tab.status == 200
        await tab.close()

    asyncio.run(look())


def test_a_broker_that_goes_and_comes_makes_every_tab_look(
    session: str, settings, tmp_path: Path
) -> None:
    async def look() -> None:
        with broker.running(tmp_path) as url:
            settings.REDIS_URL = url
            tab = Tab(LiveStream(None), "t=deployment/x/y", {"cookie": f"sessionid={session}"})
            await tab.until('"broker": true')
            tab.texts.clear()
        await tab.until('"broker": false')
        with broker.running(tmp_path):
            await tab.until('"broker": true')
            await tab.close()

    asyncio.run(look())


def test_what_was_missed_while_a_page_opened_is_told(session: str, publish) -> None:
    async def look() -> None:
        application, headers = LiveStream(None), {"cookie": f"sessionid={session}"}
        first = Tab(application, "t=node/a", headers)
        await first.until("changed")
        first.texts.clear()
        publish("node/a")
        await first.until("changed")
        second = Tab(application, "t=node/a", headers)
        await second.until("changed")
        await asyncio.gather(first.close(), second.close())

    asyncio.run(look())


def test_a_slow_tab_holds_each_topic_once() -> None:
    async def look() -> None:
        subscription = Subscription(["a", "b"])
        for _ in range(1000):
            subscription.offer(["a"])
            subscription.offer(["b", "c"])
        assert await subscription.next() == ["a", "b"]

    asyncio.run(look())


def test_changes_are_announced_after_the_commit_and_never_raise(
    publish, broker_url: str, settings, not_eager
) -> None:
    announce._client.cache_clear()
    with redis.Redis.from_url(broker_url) as client, client.pubsub() as listener:
        listener.subscribe(announce.CHANNEL)
        assert listener.get_message(timeout=5)["type"] == "subscribe"
        announce.changed("node/a", "node/b")
        assert json.loads(listener.get_message(timeout=5)["data"]) == ["node/a", "node/b"]
    announce._client().close()
    announce._client.cache_clear()
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    announce.changed("node/a")
    announce._client().close()
    announce._client.cache_clear()
    announce._silent_until[0] = 0.0

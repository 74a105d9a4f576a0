"""The stream that keeps open pages current: names of changed topics, as server-sent events.

A plain ASGI application in front of Django, because Django pins a thread to every response that
streams: two hundred open tabs are two hundred sleeping coroutines here, one Redis connection, and
no database connection. A message only says what changed; the page reads itself anew and morphs.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http.cookie import parse_cookie
from redis.exceptions import RedisError

from orchestrator.operations.access import why_not
from orchestrator.operations.announce import CHANNEL
from orchestrator.operations.connections import give_back
from orchestrator.queries import sessions

PATH = "/live/"
HEARTBEAT_SECONDS = 15.0
# Changes that come together are told together; the first of them waits no longer than this.
GATHER_SECONDS = 0.05
# What was announced while a page was rendered and its stream not yet open, the page has missed.
OPENING_SECONDS = 5.0
LOGIN_CHECK_SECONDS = 60.0
RETRY_MS = 2000
MOST_TOPICS = 20
EVERYTHING = "*"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"vary", b"Cookie"),
]


class Subscription:
    """A mailbox that holds each topic at most once, so that a slow tab costs no memory."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = frozenset(topics)
        self._pending: set[str] = set()
        self._arrived = asyncio.Event()

    def offer(self, topics: Iterable[str]) -> None:
        """Take what was announced, as far as this tab shows it."""
        if EVERYTHING in self._topics:
            self._pending.add(EVERYTHING)
        else:
            self._pending.update(self._topics.intersection(topics))
        if self._pending:
            self._arrived.set()

    def interrupt(self) -> None:
        """Have the tab read everything: announcements may have been missed."""
        self._pending.add(EVERYTHING)
        self._arrived.set()

    async def next(self) -> list[str]:
        """Return the next topics; none after a heartbeat's time."""
        try:
            await asyncio.wait_for(self._arrived.wait(), HEARTBEAT_SECONDS)
        except TimeoutError:
            return []
        await asyncio.sleep(GATHER_SECONDS)
        self._arrived.clear()
        found, self._pending = sorted(self._pending), set()
        return found


class Hub:
    """One reader of the broker per process, and every open tab's mailbox."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._reader: asyncio.Task[None] | None = None
        self.is_connected = False
        self._delivered_at = -OPENING_SECONDS

    @asynccontextmanager
    async def subscribe(self, topics: Iterable[str]) -> AsyncIterator[Subscription]:
        """Deliver announcements to a mailbox for as long as the context lasts."""
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        subscription = Subscription(topics)
        self._subscriptions.add(subscription)
        if time.monotonic() - self._delivered_at < OPENING_SECONDS:
            subscription.interrupt()
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions and self._reader is not None:
                self._reader.cancel()
                self._reader = None

    async def _read(self) -> None:
        wait = 0.5
        while True:
            client = redis.Redis.from_url(settings.REDIS_URL, health_check_interval=5)
            with suppress(RedisError, OSError):
                async with client, client.pubsub() as listener:
                    await listener.subscribe(CHANNEL)
                    self.is_connected, wait = True, 0.5
                    self._interrupt_all()
                    async for message in listener.listen():
                        if message["type"] == "message":
                            self._deliver(message["data"])
            self.is_connected = False
            self._interrupt_all()
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)

    def _deliver(self, data: bytes) -> None:
        self._delivered_at = time.monotonic()
        with suppress(ValueError):
            topics = [str(topic) for topic in json.loads(data)]
            for subscription in self._subscriptions:
                subscription.offer(topics)

    def _interrupt_all(self) -> None:
        for subscription in self._subscriptions:
            subscription.interrupt()


class LiveStream:
    """An ASGI application that serves the stream and hands everything else on."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._hub = Hub()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._application(scope, receive, send)
            return
        key = _session_key(scope)
        if scope["method"] != "GET" or not await _may_listen(key):
            await _refuse(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        stream = asyncio.create_task(self._stream(scope, send, key))
        gone = asyncio.create_task(_until_gone(receive))
        _, waiting = await asyncio.wait({stream, gone}, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        for task in (stream, gone):
            with suppress(asyncio.CancelledError, OSError):
                await task
        with suppress(OSError):
            await send({"type": "http.response.body", "body": b""})

    async def _stream(self, scope: Any, send: Any, key: str) -> None:
        checked = asyncio.get_running_loop().time()
        await _write(send, f"retry: {RETRY_MS}\n\n")
        async with self._hub.subscribe(_topics(scope)) as subscription:
            while True:
                topics = await subscription.next()
                now = asyncio.get_running_loop().time()
                if now - checked > LOGIN_CHECK_SECONDS:
                    checked = now
                    if not await _may_listen(key):
                        await _write(send, "event: goodbye\ndata: {}\n\n")
                        return
                if topics:
                    told = {"topics": topics, "broker": self._hub.is_connected}
                    await _write(send, f"event: changed\ndata: {json.dumps(told)}\n\n")
                else:
                    await _write(send, ": still here\n\n")


async def _write(send: Any, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _refuse(send: Any) -> None:
    # 204 tells a browser's EventSource not to try again.
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _may_listen(key: str) -> bool:
    if not key:
        return False
    return await sync_to_async(_may_look, thread_sensitive=False)(key)


def _may_look(key: str) -> bool:
    try:
        return not why_not(sessions.user_of(key), "deployments", "GET")
    finally:
        give_back()


def _session_key(scope: Any) -> str:
    headers = dict(scope["headers"])
    # A page of another site must not be able to count what happens here.
    if headers.get(b"sec-fetch-site", b"same-origin") not in {b"same-origin", b"none"}:
        return ""
    cookies = parse_cookie(headers.get(b"cookie", b"").decode("latin-1"))
    return cookies.get(settings.SESSION_COOKIE_NAME, "")


def _topics(scope: Any) -> list[str]:
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return query.get("t", [EVERYTHING])[:MOST_TOPICS]

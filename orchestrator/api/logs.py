"""A replica's log as plain text; asynchronous, so that a follower costs no thread."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from redis.exceptions import RedisError
from rest_framework import exceptions

from orchestrator.api.bodies import is_asked, number_of
from orchestrator.api.errors import plain_response
from orchestrator.api.views import checked
from orchestrator.operations import log_requests
from orchestrator.operations.connections import give_back
from orchestrator.operations.replicas import ReplicaNotFound
from orchestrator.queries import replicas as queries
from orchestrator.queries.replicas import LogSource

FIRST_ANSWER_SECONDS = 5.0
BLOCK_MS = 3000
WANTED_SECONDS = 10
MOST_LINES = 100_000
TEXT = "text/plain; charset=utf-8"
Entries = list[tuple[bytes, dict[bytes, bytes]]]


class BrokerDown(exceptions.APIException):
    """A live log travels through the broker."""

    status_code = 503
    default_detail = "the broker does not answer, and logs of running replicas need it"


class NodeRefused(exceptions.APIException):
    """The node answered that it cannot show the log."""

    status_code = 502


class NodeSilent(exceptions.APIException):
    """The node did not answer in time."""

    status_code = 504


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to read."""

    source: LogSource
    tail: int | None
    follow: bool
    previous: bool


async def logs(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Return the latest lines (`?tail=`), those to come (`?follow=true`), or the previous run's."""
    try:
        wish = await sync_to_async(_wish)(request, uid)
        if wish.previous or not wish.source.is_live:
            return _kept(wish)
        return await _live(wish)
    except Exception as error:  # noqa: BLE001, this view has no other exception handler
        return plain_response(error, request)


def _wish(plain: HttpRequest, uid: str) -> Wish:
    """Check who asks and for what; the database connection is given back before any waiting."""
    try:
        request = checked(plain, {"GET", "HEAD"})
        if "\x00" in uid:
            raise ReplicaNotFound("?")
        tail = request.query_params.get("tail", "200")
        lines = None if tail == "all" else number_of(tail, "tail", at_most=MOST_LINES)
        source = queries.log_source(uid)
        if source is None:
            raise ReplicaNotFound(uid)
        return Wish(
            source=source,
            tail=lines,
            follow=is_asked(request, "follow"),
            previous=is_asked(request, "previous"),
        )
    finally:
        give_back()


def _kept(wish: Wish) -> HttpResponse:
    source, tail = wish.source, wish.tail
    if source.died_at is None:
        raise exceptions.NotFound(f"no earlier run of replica {source.uid} is known")
    lines = source.kept.splitlines()
    shown = lines if tail is None else lines[-tail:] if tail else []
    return HttpResponse("".join(f"{line}\n" for line in shown), content_type=TEXT)


async def _live(wish: Wish) -> HttpResponseBase:
    stream = _LogStream(wish)
    try:
        first = await stream.begin()
    except (RedisError, OSError):
        await stream.end()
        raise BrokerDown from None
    except BaseException:
        await stream.end()
        raise
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingHttpResponse(stream.lines(first), content_type=TEXT, headers=headers)


class _LogStream:
    """One request to a node and the short-lived Redis stream its answer comes through."""

    def __init__(self, wish: Wish) -> None:
        self._wish = wish
        self._uid = uuid.uuid4().hex
        self._latest = "0"
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10)

    async def begin(self) -> Entries:
        """Send the request and return the first entries of the answer.

        Raises:
            BrokerDown: the request could not be sent.
            NodeSilent: nothing came in time.
            NodeRefused: the node cannot show the log.
        """
        wish = self._wish
        await self._renew()
        sent = await sync_to_async(log_requests.send)(
            wish.source.node, self._uid, wish.source.uid, tail=wish.tail, follow=wish.follow
        )
        if not sent:
            raise BrokerDown
        first = await self._read(int(FIRST_ANSWER_SECONDS * 1000))
        if not first:
            raise NodeSilent(
                f"node {wish.source.node} did not answer within {FIRST_ANSWER_SECONDS:g} s"
            )
        if error := first[0][1].get(b"error"):
            raise NodeRefused(error.decode(errors="replace"))
        return first

    async def lines(self, entries: Entries) -> AsyncIterator[bytes]:
        """Yield every line until the end of the log, or until nobody wants more."""
        try:
            while True:
                for _, fields in entries:
                    if b"end" in fields:
                        if error := fields.get(b"error"):
                            yield b"kijabi: " + error + b"\n"
                        return
                    if b"text" in fields:
                        yield fields[b"text"] + b"\n"
                await self._renew()
                entries = await self._read(BLOCK_MS)
                if not entries and not self._wish.follow:
                    yield b"kijabi: the node stopped answering; lines may be missing\n"
                    return
        except (RedisError, OSError):
            yield b"kijabi: the broker does not answer any more; the log ends here\n"
        finally:
            await asyncio.shield(self.end())

    async def end(self) -> None:
        """Tell the node that nobody wants more, and forget what was sent."""
        try:
            await self._redis.delete(self._key, f"{self._key}:wanted")
        except (RedisError, OSError):
            # Both keys expire by themselves, and the node watches for that.
            return
        finally:
            await self._redis.aclose()

    @property
    def _key(self) -> str:
        return f"logs:{self._uid}"

    async def _renew(self) -> None:
        if self._wish.follow:
            await self._redis.set(f"{self._key}:wanted", "1", ex=WANTED_SECONDS)

    async def _read(self, wait_ms: int) -> Entries:
        found: Any = await self._redis.xread({self._key: self._latest}, count=500, block=wait_ms)
        entries: Entries = list(found[0][1]) if found else []
        if entries:
            self._latest = entries[-1][0].decode()
        return entries

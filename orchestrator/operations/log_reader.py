"""Read the log of a running replica: ask its node, take the answer from a short-lived Redis stream.

Asynchronous, so that a follower costs no thread here; the node's side is `worker/log_stream.py`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from django.conf import settings
from redis.exceptions import RedisError

from orchestrator.operations import log_requests
from orchestrator.queries.replicas import LogSource

FIRST_ANSWER_SECONDS = 5.0
BLOCK_MS = 3000
WANTED_SECONDS = 10
Entries = list[tuple[bytes, dict[bytes, bytes]]]


class BrokerDown(Exception):
    """A live log travels through the broker."""

    def __init__(self) -> None:
        super().__init__("the broker does not answer, and logs of running replicas need it")


class NodeRefused(Exception):
    """The node answered that it cannot show the log."""


class NodeSilent(Exception):
    """The node did not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line; `at` is seconds since the epoch or None, `is_note` a remark of ours."""

    text: str
    at: float | None = None
    stream: str = "stdout"
    is_note: bool = False


class LogReader:
    """One request to a node and the stream its answer comes through."""

    def __init__(self, source: LogSource, *, tail: int | None, follow: bool) -> None:
        self._source, self._tail, self._follow = source, tail, follow
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
        try:
            return await self._begin()
        except (RedisError, OSError):
            await self.end()
            raise BrokerDown from None
        except BaseException:
            await self.end()
            raise

    async def lines(self, entries: Entries) -> AsyncIterator[Line]:
        """Yield every line until the end of the log, or until nobody wants more."""
        try:
            while True:
                for _, fields in entries:
                    if b"end" in fields:
                        if error := fields.get(b"error"):
                            yield _note(error.decode(errors="replace"))
                        return
                    if b"text" in fields:
                        yield _line(fields)
                await self._renew()
                entries = await self._read(BLOCK_MS)
                if not entries and not self._follow:
                    yield _note("the node stopped answering; lines may be missing")
                    return
        except (RedisError, OSError):
            yield _note("the broker does not answer any more; the log ends here")
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

    async def _begin(self) -> Entries:
        source = self._source
        await self._renew()
        sent = await sync_to_async(log_requests.send)(
            source.node, self._uid, source.uid, tail=self._tail, follow=self._follow
        )
        if not sent:
            raise BrokerDown
        first = await self._read(int(FIRST_ANSWER_SECONDS * 1000))
        if not first:
            raise NodeSilent(f"node {source.node} did not answer within {FIRST_ANSWER_SECONDS:g} s")
        if error := first[0][1].get(b"error"):
            raise NodeRefused(error.decode(errors="replace"))
        return first

    @property
    def _key(self) -> str:
        return f"logs:{self._uid}"

    async def _renew(self) -> None:
        if self._follow:
            await self._redis.set(f"{self._key}:wanted", "1", ex=WANTED_SECONDS)

    async def _read(self, wait_ms: int) -> Entries:
        found: Any = await self._redis.xread({self._key: self._latest}, count=500, block=wait_ms)
        entries: Entries = list(found[0][1]) if found else []
        if entries:
            self._latest = entries[-1][0].decode()
        return entries


def _line(fields: dict[bytes, bytes]) -> Line:
    at = fields.get(b"at") or None
    return Line(
        text=fields[b"text"].decode(errors="replace"),
        at=float(at) if at is not None else None,
        stream=fields.get(b"stream", b"stdout").decode(),
    )


def _note(text: str) -> Line:
    return Line(text=f"kijabi: {text}", is_note=True)

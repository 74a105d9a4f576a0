"""The short-lived Redis stream that a node answers one request through: a log's, a command's.

The node goes on only while the key `wanted` beside the stream is there; both keys expire by
themselves. The node's side is `worker/log_stream.py` and `command_stream.py`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import redis.asyncio as redis
from django.conf import settings
from redis.exceptions import RedisError

BLOCK_MS = 3000
WANTED_SECONDS = 10
Entries = list[tuple[bytes, dict[bytes, bytes]]]


class AnswerStream:
    """One request's answer, read from its begin; the broker's errors come through."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._latest = "0"
        self._redis = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10)

    async def want(self) -> None:
        """Tell the node to go on for a while."""
        await self._redis.set(f"{self._key}:wanted", "1", ex=WANTED_SECONDS)

    async def read(self, wait_ms: int) -> Entries:
        """Return what has come since the read before; nothing if nothing comes in time."""
        found: Any = await self._redis.xread({self._key: self._latest}, count=500, block=wait_ms)
        entries: Entries = list(found[0][1]) if found else []
        if entries:
            self._latest = entries[-1][0].decode()
        return entries

    async def forget(self) -> None:
        """Tell the node that nobody wants more, and let go of what was sent."""
        with suppress(RedisError, OSError):
            await self._redis.delete(self._key, f"{self._key}:wanted")
        await self._redis.aclose()

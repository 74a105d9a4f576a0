"""Read the log of a running replica: ask its node, and take the answer as it comes.

Asynchronous, so that a follower costs no thread here.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from redis.exceptions import RedisError

from orchestrator.operations import log_requests
from orchestrator.operations.answer_stream import BLOCK_MS, AnswerStream, Entries
from orchestrator.operations.connections import borrowed
from orchestrator.queries.replicas import LogSource
from worker.protocol import answer_uid

FIRST_ANSWER_SECONDS = 5.0


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
    """One request to a node and the stream its answer comes through.

    `is_broken_off` tells afterwards that the broker went away before the end.
    """

    def __init__(self, source: LogSource, *, tail: int | None, follow: bool) -> None:
        self._source, self._tail, self._follow = source, tail, follow
        self._uid = answer_uid(source.node, uuid.uuid4().hex)
        self.is_broken_off = False
        self._answer = AnswerStream(f"logs:{self._uid}")

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
            await asyncio.shield(self._answer.forget())
            raise BrokerDown from None
        except BaseException:
            await asyncio.shield(self._answer.forget())
            raise

    async def lines(self, entries: Entries) -> AsyncGenerator[Line, None]:
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
                entries = await self._answer.read(BLOCK_MS)
                if not entries and not self._follow:
                    yield _note("the node stopped answering; lines may be missing")
                    return
        except (RedisError, OSError):
            self.is_broken_off = True
            yield _note("the broker does not answer any more; the log ends here")
        finally:
            await asyncio.shield(self._answer.forget())

    async def _begin(self) -> Entries:
        source = self._source
        await self._renew()
        sent = await borrowed(
            log_requests.send,
            source.node,
            self._uid,
            source.uid,
            tail=self._tail,
            follow=self._follow,
        )
        if not sent:
            raise BrokerDown
        first = await self._answer.read(int(FIRST_ANSWER_SECONDS * 1000))
        if not first:
            raise NodeSilent(f"node {source.node} did not answer within {FIRST_ANSWER_SECONDS:g} s")
        if error := first[0][1].get(b"error"):
            raise NodeRefused(error.decode(errors="replace"))
        return first

    async def _renew(self) -> None:
        if self._follow:
            await self._answer.want()


def _line(fields: dict[bytes, bytes]) -> Line:
    at = fields.get(b"at") or None
    return Line(
        text=fields[b"text"].decode(errors="replace"),
        at=float(at) if at is not None else None,
        stream=fields.get(b"stream", b"stdout").decode(),
    )


def _note(text: str) -> Line:
    return Line(text=f"kijabi: {text}", is_note=True)

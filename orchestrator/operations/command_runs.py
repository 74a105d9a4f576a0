"""Run a command in a replica and follow its output; asynchronous, so that waiting costs no thread.

The API and the dashboard call `run`. Whoever stops reading, or leaves, ends the command.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from datetime import datetime

from asgiref.sync import sync_to_async
from django.db import DatabaseError, InterfaceError
from django.utils import timezone
from redis.exceptions import RedisError

from orchestrator.operations import commands
from orchestrator.operations.answer_stream import BLOCK_MS, AnswerStream, Entries
from orchestrator.operations.commands import USUAL_SECONDS, Command
from orchestrator.operations.connections import borrowed
from orchestrator.operations.events import Change
from worker.protocol import CommandOutcome

logger = logging.getLogger(__name__)

FIRST_ANSWER_SECONDS = 5.0
SILENCE_SECONDS = 15.0
RENEW_SECONDS = 3.0
EXITED = CommandOutcome.EXITED.value
FAILED = CommandOutcome.FAILED.value
ABANDONED = CommandOutcome.ABANDONED.value
LOST = "lost"
OUTCOMES = (*(outcome.value for outcome in CommandOutcome), LOST)


class BrokerUnavailable(Exception):
    """Commands travel through the broker."""

    def __init__(self) -> None:
        super().__init__("the broker does not answer, and commands in replicas need it")


class NodeSilent(Exception):
    """The node did not answer in time; it will not run the command later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Some output; `stream` is `stdout` or `stderr`."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How it ended, the last item; `message` is one sentence, `exit_code` None unless it exited.

    `outcome` is `exited`, `timed-out`, `cut` (too much output), `failed` (it could not be run),
    `abandoned` (the node called it off) or `lost` (nobody knows).
    """

    outcome: str
    exit_code: int | None
    message: str


Item = Output | Ending
_LEFT = Ending(
    outcome=ABANDONED, exit_code=None, message="whoever asked has left, so it is being killed"
)
_NO_BROKER = Ending(
    outcome=LOST,
    exit_code=None,
    message="the broker does not answer any more, so it is being killed",
)


async def run(
    replica: str,
    argv: Sequence[str],
    *,
    actor: str,
    via: str,
    timeout_seconds: int = USUAL_SECONDS,
    clock: Callable[[], datetime] = timezone.now,
) -> AsyncGenerator[Item, None]:
    """Run a command; return its output as it comes, and at last its `Ending`.

    Raises:
        CommandInvalid: the command is out of bounds.
        ReplicaNotFound: there is no such replica.
        ReplicaNotRunning: it is on no node, stopping or gone.
        BrokerUnavailable: the command could not be sent.
        NodeSilent: the node did not answer.
    """
    change = Change(actor=actor, now=clock(), via=via)
    command = await borrowed(
        commands.begin, replica, argv, timeout_seconds=timeout_seconds, change=change
    )
    stream = _Stream(command, clock)
    try:
        first = await stream.begin()
    except (BrokerUnavailable, NodeSilent) as error:
        await asyncio.shield(
            stream.close(Ending(outcome=FAILED, exit_code=None, message=str(error)))
        )
        raise
    except BaseException:
        await asyncio.shield(stream.close(_LEFT))
        raise
    return stream.items(first)


async def json_lines(items: AsyncGenerator[Item, None]) -> AsyncIterator[bytes]:
    """Yield each item as a line of JSON; a reader that leaves ends the command."""
    async with aclosing(items):
        async for item in items:
            yield json.dumps(asdict(item), ensure_ascii=False).encode() + b"\n"


class _Stream:
    """One command on a node and the short-lived Redis stream its output comes through."""

    def __init__(self, command: Command, clock: Callable[[], datetime]) -> None:
        self._command = command
        self._clock = clock
        self._answer = AnswerStream(f"commands:{command.uid}")
        self._renewing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def begin(self) -> Entries:
        """Send the command and return the first entries of the answer.

        Raises:
            BrokerUnavailable: it could not be sent.
            NodeSilent: nothing came in time.
        """
        try:
            await self._answer.want()
            self._renewing = asyncio.create_task(self._keep_wanted())
            if not await sync_to_async(commands.send)(self._command):
                raise BrokerUnavailable
            first = await self._answer.read(int(FIRST_ANSWER_SECONDS * 1000))
        except (RedisError, OSError):
            raise BrokerUnavailable from None
        if not first:
            raise NodeSilent(
                f"node {self._command.node} did not answer within {FIRST_ANSWER_SECONDS:g} s; "
                "the command was called off"
            )
        return first

    async def items(self, entries: Entries) -> AsyncGenerator[Item, None]:
        """Yield output until the end; a reader that leaves ends the command."""
        ending: Ending | None = None
        heard_at = asyncio.get_running_loop().time()
        try:
            while ending is None:
                for item in _items(entries):
                    if isinstance(item, Ending):
                        ending = item
                        break
                    yield item
                else:
                    entries = await self._answer.read(BLOCK_MS)
                    now = asyncio.get_running_loop().time()
                    heard_at = now if entries else heard_at
                    if now - heard_at > SILENCE_SECONDS:
                        ending = self._silent()
        except (RedisError, OSError):
            ending = _NO_BROKER
        finally:
            await asyncio.shield(self.close(ending or _LEFT))
        yield ending

    async def close(self, ending: Ending) -> None:
        """Write down the end, once; tell the node that nobody wants more."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._renewing is not None and self._renewing is not asyncio.current_task():
            self._renewing.cancel()
        await self._answer.forget()
        try:
            await borrowed(
                commands.finish,
                self._command,
                ending.message,
                is_exit=ending.outcome == EXITED,
                now=self._clock(),
            )
        except (DatabaseError, InterfaceError):
            # The reader is still to be told how it ended.
            logger.exception("The end of a command in %s is not kept", self._command.replica)

    def _silent(self) -> Ending:
        return Ending(
            outcome=LOST,
            exit_code=None,
            message=f"node {self._command.node} stopped answering; nobody knows how it ended",
        )

    async def _keep_wanted(self) -> None:
        """Keep it wanted, however slowly somebody reads, and end it if nobody ever begins to."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._command.timeout_seconds + 2 * SILENCE_SECONDS
        while loop.time() < until:
            await asyncio.sleep(RENEW_SECONDS)
            # Whoever reads meets the same error.
            with suppress(RedisError, OSError):
                await self._answer.want()
        await self.close(_LEFT)


def _items(entries: Entries) -> Iterator[Item]:
    for _, raw in entries:
        fields = {key.decode(): value.decode(errors="replace") for key, value in raw.items()}
        if "end" in fields:
            code = fields.get("exit_code")
            yield Ending(
                outcome=fields["outcome"],
                exit_code=int(code) if code is not None else None,
                message=fields["message"],
            )
        elif "text" in fields:
            yield Output(stream=fields["stream"], text=fields["text"])

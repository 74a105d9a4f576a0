"""Forward a TCP connection to a port of a replica: asked for, written down, carried by its node.

Bytes travel through two short-lived lists at the broker; the node's side, and what an item is, are
in `worker/forwarding.py`. Whoever stops reading ends the connection.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import redis.asyncio as redis
from django.conf import settings
from django.core import signing
from django.db import transaction
from django.utils import timezone
from redis.exceptions import RedisError

from orchestrator.models import Event
from orchestrator.operations import commands, events
from orchestrator.operations.command_runs import BrokerUnavailable, NodeSilent
from orchestrator.operations.connections import borrowed
from orchestrator.operations.events import Act, Change
from orchestrator.operations.transport import publish
from worker import protocol

FIRST_ANSWER_SECONDS = 5.0
SILENCE_SECONDS = 15.0
READ_SECONDS = 3.0
WANTED_SECONDS = 10
KEPT_SECONDS = 60
MOST_AT_ONCE = 32
# No more is taken from the client while so many pieces wait for the node.
MOST_WAITING = 32
FULL_SECONDS, LONGEST_FULL = 0.01, 30.0
# One event for all connections of one person to one port within so long.
SAID_AGAIN_AFTER = timedelta(minutes=10)
_SALT = "orchestrator.port-forward"


class PortClosed(Exception):
    """The node could not connect to the port; the message says why."""


class ConnectionUnknown(LookupError):
    """There is no such forwarded connection, or it is somebody else's."""

    def __init__(self) -> None:
        super().__init__("this forwarded connection does not exist, or has ended")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """A connection that has been allowed and written down."""

    uid: str
    replica: str
    node: str
    port: int


class Connection:
    """An open connection; `name` is what its other half, `push`, is addressed by."""

    def __init__(self, forward: Forward, user: str) -> None:
        self.name = signing.dumps([forward.uid, user], salt=_SALT)
        self._forward = forward
        self._key = f"forwards:{forward.uid}"
        self._redis = _client()

    async def begin(self) -> None:
        """Have the node connect.

        Raises:
            BrokerUnavailable: the node could not be asked.
            NodeSilent: it did not answer in time.
            PortClosed: it could not connect.
        """
        try:
            await self._want()
            if not await borrowed(_send, self._forward):
                raise BrokerUnavailable  # noqa: TRY301, the way out
            first = await self._take(FIRST_ANSWER_SECONDS)
        except (RedisError, OSError):
            await self.close()
            raise BrokerUnavailable from None
        except BaseException:
            await asyncio.shield(self.close())
            raise
        if first[:1] == [b"b"]:
            return
        await self.close()
        if not first:
            seconds = f"{FIRST_ANSWER_SECONDS:g} s"
            raise NodeSilent(f"node {self._forward.node} did not answer within {seconds}")
        raise PortClosed(first[0][1:].decode(errors="replace"))

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield what the replica sends until it ends; a reader that leaves ends the connection."""
        renewing = asyncio.create_task(self._keep_wanted())
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        try:
            while loop.time() - heard_at < SILENCE_SECONDS:
                found = await self._take(READ_SECONDS)
                heard_at = loop.time() if found else heard_at
                if piece := b"".join(item[1:] for item in found if item[:1] == b"d"):
                    yield piece
                if any(item[:1] == b"e" for item in found):
                    return
        except (RedisError, OSError):
            return
        finally:
            renewing.cancel()
            await asyncio.shield(self.close())

    async def close(self) -> None:
        """Tell the node that nobody wants more, and let go of what is under way."""
        with suppress(RedisError, OSError):
            await self._redis.delete(*(f"{self._key}:{part}" for part in ("wanted", "in", "out")))
        await self._redis.aclose()

    async def _take(self, seconds: float) -> list[bytes]:
        """Return the items that are there, oldest first; waits for one so long."""
        found: Any = await self._redis.brpop([f"{self._key}:out"], timeout=seconds)
        if found is None:
            return []
        more: Any = await self._redis.rpop(f"{self._key}:out", MOST_AT_ONCE)
        return [found[1], *(more or ())]

    async def _want(self) -> None:
        await self._redis.set(f"{self._key}:wanted", "1", ex=WANTED_SECONDS)

    async def _keep_wanted(self) -> None:
        while True:
            await asyncio.sleep(WANTED_SECONDS / 3)
            # Whoever reads meets the same error.
            with suppress(RedisError, OSError):
                await self._want()


async def connect(replica: str, port: int, *, actor: str, via: str) -> Connection:
    """Open a connection to a port of a replica.

    Raises:
        ReplicaNotFound: there is no such replica.
        ReplicaNotRunning: it is on no node, stopping or gone.
        BrokerUnavailable: its node could not be asked.
        NodeSilent: its node did not answer.
        PortClosed: nothing takes connections there.
    """
    change = Change(actor=actor, now=timezone.now(), via=via)
    connection = Connection(await borrowed(_allow, replica, port, change), actor)
    await connection.begin()
    return connection


async def push(name: str, user: str, data: bytes, *, is_end: bool) -> None:
    """Send bytes into an open connection, in the order of the calls.

    Raises:
        ConnectionUnknown: it is not open, or not this user's.
        BrokerUnavailable: the broker does not answer.
    """
    try:
        uid, owner = signing.loads(name, salt=_SALT)
    except (signing.BadSignature, ValueError):
        raise ConnectionUnknown from None
    if owner != user:
        raise ConnectionUnknown
    key = f"forwards:{uid}"
    client = _client()
    try:
        await _wait_for_room(client, key)
        items = [b"d" + data] if data else []
        items += [b"e"] if is_end else []
        if items:
            pipeline = client.pipeline(transaction=False)
            pipeline.lpush(f"{key}:in", *items)
            pipeline.expire(f"{key}:in", KEPT_SECONDS)
            await pipeline.execute()
    except (RedisError, OSError):
        raise BrokerUnavailable from None
    finally:
        await client.aclose()


async def _wait_for_room(client: redis.Redis, key: str) -> None:
    """Wait while the node has not taken what came before.

    Raises:
        ConnectionUnknown: nobody takes it.
    """
    until = asyncio.get_running_loop().time() + LONGEST_FULL
    while await client.exists(f"{key}:wanted"):
        waiting: Any = await client.llen(f"{key}:in")
        if waiting <= MOST_WAITING:
            return
        if asyncio.get_running_loop().time() > until:
            break
        await asyncio.sleep(FULL_SECONDS)
    raise ConnectionUnknown


def _client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10)


def _allow(replica: str, port: int, change: Change) -> Forward:
    """Check that the replica runs, and write down who looks into it."""
    with transaction.atomic():
        row = commands.find_running(replica)
        message = f"{change.actor} forwards connections to port {port} of replica {row.uid}"
        lately = Event.objects.filter(
            reason="PortForward", message=message, at__gt=change.now - SAID_AGAIN_AFTER
        )
        if not lately.exists():
            event = events.about_replica(
                row, reason="PortForward", message=message, now=change.now, cause_id=None
            )
            act = Act(verb="forward", kind="replica", name=row.uid)
            events.done_by(change, event, act).save()
    unique = protocol.answer_uid(str(row.node_id), uuid.uuid4().hex)
    return Forward(uid=unique, replica=row.uid, node=str(row.node_id), port=port)


def _send(forward: Forward) -> bool:
    request = protocol.ForwardRequest(
        uid=forward.uid, replica=protocol.ReplicaUid(forward.replica), port=forward.port
    )
    queue = protocol.node_queue(forward.node)
    return publish(protocol.FORWARD_PORT_TASK, queue, {"request": protocol.to_wire(request)})

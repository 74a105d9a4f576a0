"""Where the requests of held routes wait: a door that opens when the route is let go.

Caddy sends a held route's requests here as to any endpoint. Each waits until its route is released,
its time is up or its client has gone, and goes on to whoever serves then. Caddy's own configuration
does not change for it, as that would break off what waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from worker.gateway.streams import CHUNK, LoopThread, connect, pump

logger = logging.getLogger(__name__)

# How often a request whose wait is over looks for somebody who serves, and for how long.
LOOK_SECONDS = 0.05
LATE_SECONDS = 5.0
# A door that is opened takes who was on the way to it for so long.
CLOSING_SECONDS = 1.0
# So many may come at the same moment (the kernel has a limit of its own), each with such a head.
CROWD = 4096
LONGEST_HEAD = 1 << 17
End = tuple[str, int]


@dataclass(slots=True)
class _Door:
    seconds: int
    server: asyncio.Server
    port: int
    waiting: int = 0
    opened: asyncio.Event = field(default_factory=asyncio.Event)


class Holding:
    """The doors by route; `ends` returns who serves a route, held or not.

    `knocked` is called, from a thread of ours, when somebody begins to wait where nobody did, and
    when nobody does any more.
    """

    def __init__(self, ends: Callable[[str], tuple[End, ...]]) -> None:
        self._ends = ends
        self.knocked: Callable[[], None] = lambda: None
        self._thread: LoopThread | None = None
        self._doors: dict[str, _Door] = {}
        self._carried: Counter[End] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self._turn = 0

    def hold(self, routes: Mapping[str, int]) -> dict[str, int]:
        """Hold these routes for so many seconds a request, let go of all others; return ports."""
        if self._thread is None and routes:
            self._thread = LoopThread("holding")
        if self._thread is not None:
            self._thread.do(self._change(routes))
        return {name: door.port for name, door in self._doors.items()}

    def waiting(self) -> frozenset[str]:
        """Return the routes whose requests wait now."""
        return frozenset(name for name, door in dict(self._doors).items() if door.waiting)

    def under_way(self) -> dict[End, int]:
        """Return how many requests that have waited each end has now."""
        return dict(self._carried)

    def close(self) -> None:
        """End what waits."""
        if self._thread is not None:
            self._thread.do(self._change({}))
            self._thread.close()
            self._thread = None

    async def _change(self, routes: Mapping[str, int]) -> None:
        for name in set(self._doors) - set(routes):
            door = self._doors.pop(name)
            door.opened.set()
            closing = asyncio.ensure_future(_close(door.server))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        for name, seconds in routes.items():
            if name in self._doors:
                self._doors[name].seconds = seconds
                continue
            server = await asyncio.start_server(
                partial(self._wait, name), "127.0.0.1", 0, backlog=CROWD, limit=LONGEST_HEAD
            )
            port = server.sockets[0].getsockname()[1]
            self._doors[name] = _Door(seconds=seconds, server=server, port=port)

    async def _wait(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        door = self._doors.get(name)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request = bytearray(_alone(head))
            if door is not None and not await self._opened(door, reader, request):
                return
            await self._lead_on(name, reader, writer, bytes(request))
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            logger.debug("A held request of %s ended: %s", name, error)
        finally:
            writer.close()

    async def _opened(self, door: _Door, reader: asyncio.StreamReader, request: bytearray) -> bool:
        """Wait at a door; return whether the client is still there."""
        if door.opened.is_set():
            return True
        door.waiting += 1
        if door.waiting == 1:
            self.knocked()
        try:
            return await _first(door, reader, request)
        finally:
            door.waiting -= 1
            if not door.waiting:
                self.knocked()

    async def _lead_on(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> None:
        """Send a request to who serves its route now, and count it as theirs until it has ended."""
        end, there, back = await self._reached(name)
        self._carried[end] += 1
        back.write(request)
        forth = asyncio.ensure_future(pump(reader, back))
        try:
            await pump(there, writer)
        finally:
            forth.cancel()
            await asyncio.gather(forth, return_exceptions=True)
            back.close()
            self._carried[end] -= 1
            if not self._carried[end]:
                del self._carried[end]

    async def _reached(self, name: str) -> tuple[End, asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to one after the other of those who serve a route now.

        Raises:
            ConnectionError: nobody comes up, or takes it.
        """
        for _ in range(int(LATE_SECONDS / LOOK_SECONDS)):
            if ends := self._ends(name):
                self._turn += 1
                end = ends[self._turn % len(ends)]
                try:
                    return (end, *await connect(end))
                except (OSError, TimeoutError) as error:
                    logger.debug("%s:%s does not take a held request: %s", *end, error)
            await asyncio.sleep(LOOK_SECONDS)
        raise ConnectionError("nobody serves it")


async def _close(server: asyncio.Server) -> None:
    """Close a door a moment later: a reset would end what nobody has accepted yet."""
    try:
        await asyncio.sleep(CLOSING_SECONDS)
    finally:
        server.close()


def _alone(head: bytes) -> bytes:
    """Return the head of a request with the wish that its connection ends with the answer.

    Caddy would send the next request by the same connection: past a door that is still closed, and
    uncounted. One that turns into something else (a websocket) ends anyway.
    """
    if b"\r\nupgrade:" in head.lower():
        return head
    line, _, rest = head.partition(b"\r\n")
    return line + b"\r\nConnection: close\r\n" + rest


async def _first(door: _Door, reader: asyncio.StreamReader, request: bytearray) -> bool:
    """Return whether the door opens, or the time is up, before the client goes."""
    opened = asyncio.ensure_future(door.opened.wait())
    gone = asyncio.ensure_future(_until_gone(reader, request))
    try:
        await asyncio.wait(
            {opened, gone}, timeout=door.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        if not opened.done() and not gone.done():
            logger.info("A request was held for %s s and goes on", door.seconds)
        return opened.done() or not gone.done()
    finally:
        for task in (opened, gone):
            task.cancel()
        await asyncio.gather(opened, gone, return_exceptions=True)


async def _until_gone(reader: asyncio.StreamReader, request: bytearray) -> None:
    """Keep what else comes of a request; return when its client has gone.

    Of a long one only the beginning is kept; then nobody notices before the door opens.
    """
    while len(request) < LONGEST_HEAD + CHUNK:
        chunk = await reader.read(CHUNK)
        if not chunk:
            return
        request += chunk
    await asyncio.Event().wait()

"""Where the requests of held routes wait: a door that opens when the route is let go.

Caddy sends a held route's requests here as to any endpoint. Each waits until its route is released
or its time is up, and goes on to whoever serves then. Caddy's own configuration does not change for
it, as that would break off what waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from worker.gateway.streams import LoopThread, carry

logger = logging.getLogger(__name__)

# How often a request whose wait is over looks for somebody who serves, and for how long.
LOOK_SECONDS = 0.05
LATE_SECONDS = 5.0
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

    def close(self) -> None:
        """End what waits."""
        if self._thread is not None:
            self._thread.do(self._change({}))
            self._thread.close()
            self._thread = None

    async def _change(self, routes: Mapping[str, int]) -> None:
        for name in set(self._doors) - set(routes):
            door = self._doors.pop(name)
            door.server.close()
            door.opened.set()
        for name, seconds in routes.items():
            if name in self._doors:
                self._doors[name].seconds = seconds
                continue
            server = await asyncio.start_server(partial(self._wait, name), "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            self._doors[name] = _Door(seconds=seconds, server=server, port=port)

    async def _wait(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        door = self._doors.get(name)
        try:
            if door is not None:
                await self._opened(door)
            end = await self._end(name)
            if end is not None:
                await carry(reader, writer, end)
        except (OSError, TimeoutError) as error:
            logger.debug("A held request of %s ended: %s", name, error)
        finally:
            writer.close()

    async def _opened(self, door: _Door) -> None:
        if door.opened.is_set():
            return
        door.waiting += 1
        if door.waiting == 1:
            self.knocked()
        try:
            async with asyncio.timeout(door.seconds):
                await door.opened.wait()
        except TimeoutError:
            logger.info("A request was held for %s s and goes on", door.seconds)
        finally:
            door.waiting -= 1
            if not door.waiting:
                self.knocked()

    async def _end(self, name: str) -> End | None:
        """Return who serves a route now, one after the other; None when nobody comes up."""
        for _ in range(int(LATE_SECONDS / LOOK_SECONDS)):
            if ends := self._ends(name):
                self._turn += 1
                return ends[self._turn % len(ends)]
            await asyncio.sleep(LOOK_SECONDS)
        return None

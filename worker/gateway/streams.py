"""Connections carried by this process: an event loop in a thread, and bytes passed on both ways."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

CHUNK = 65536
CONNECT_SECONDS = 10.0


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something there and wait until it is done."""
        asyncio.run_coroutine_threadsafe(work, self.loop).result(CONNECT_SECONDS)

    def close(self) -> None:
        """Break off whatever runs there, and end."""
        self.do(_end_tasks())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CONNECT_SECONDS)
        self.loop.close()


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: tuple[str, int]
) -> None:
    """Connect to an end and pass bytes on until both sides have finished.

    Raises:
        OSError: the end cannot be reached, or a connection broke.
    """
    there, back = await connect(end)
    try:
        await asyncio.gather(pump(reader, back), pump(there, writer))
    finally:
        back.close()


async def connect(end: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to an end.

    Raises:
        OSError: it cannot be reached.
    """
    async with asyncio.timeout(CONNECT_SECONDS):
        return await asyncio.open_connection(*end)


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Carry one direction to its end, and tell the other side that it has come."""
    try:
        while chunk := await source.read(CHUNK):
            sink.write(chunk)
            await sink.drain()
    finally:
        with suppress(OSError):
            if sink.can_write_eof():
                sink.write_eof()


async def _end_tasks() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

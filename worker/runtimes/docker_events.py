"""The engine's own events about our containers, and the stream they come through."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from worker import labels
from worker.runtimes.base import EventKind, RuntimeEvent

# The engine's words for what we listen to.
KINDS = {"die": EventKind.DIED, "destroy": EventKind.REMOVED, "start": EventKind.STARTED}


def read(event: dict[str, Any]) -> RuntimeEvent:
    """Return an engine event of ours; the stream carries only the actions in `KINDS`."""
    replica = event["Actor"]["Attributes"][labels.REPLICA]
    return RuntimeEvent(kind=KINDS[event["Action"]], replica=replica)


# How long the watcher of a stream that is over may stay.
WATCH_SECONDS = 5.0


@contextmanager
def released(stream: Any, stop: threading.Event) -> Iterator[None]:
    """Release what a stream reads from at the end, and end a blocking read when `stop` is set.

    The SDK's own way to end one asks the socket whether it is open and then shuts it, which fails
    when its reader closes it in between; here the watcher has a descriptor of its own.
    """
    over = threading.Event()
    source = stream._response.raw._fp.fp  # noqa: SLF001, there is no other way to it
    if source is not None:
        theirs = source.raw._sock  # noqa: SLF001, there is no other way to it
        ours = socket.fromfd(theirs.fileno(), theirs.family, theirs.type)
        arguments = (ours, stop, over)
        threading.Thread(target=_watch, args=arguments, name="end-stream", daemon=True).start()
    try:
        yield
    finally:
        over.set()
        stream._response.close()  # noqa: SLF001, the SDK leaves the file open


def _watch(connection: socket.socket, stop: threading.Event, over: threading.Event) -> None:
    with connection:
        while not stop.wait(WATCH_SECONDS):
            if over.is_set():
                return
        with suppress(OSError):  # the engine has left already, so nobody is waiting
            connection.shutdown(socket.SHUT_RDWR)

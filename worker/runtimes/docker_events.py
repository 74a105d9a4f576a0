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


class _Connection:
    """A descriptor of our own of a connection; nothing of it is touched once it is closed."""

    def __init__(self, theirs: socket.socket) -> None:
        self._lock = threading.Lock()
        self._own = socket.fromfd(theirs.fileno(), theirs.family, theirs.type)
        self._over = threading.Event()

    def end_when(self, stop: threading.Event) -> None:
        """End whatever is read from it when asked to, from a thread that ends after it."""
        while not stop.wait(WATCH_SECONDS):
            if self._over.is_set():
                return
        # The engine may have left already; then nobody is waiting.
        with self._lock, suppress(OSError):
            self._own.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it: from now on it may be somebody else's."""
        self._over.set()
        with self._lock:
            self._own.close()


@contextmanager
def released(stream: Any, stop: threading.Event | None = None) -> Iterator[None]:
    """Release what a stream reads from at the end, and end a blocking read when `stop` is set.

    The SDK's own way to end one asks the socket whether it is open and then shuts it, which fails
    when its reader closes it in between; here the watcher has a descriptor of its own.
    """
    ours: _Connection | None = None
    try:
        source = stream._response.raw._fp.fp  # noqa: SLF001, there is no other way to it
        if stop is not None and source is not None:
            ours = _Connection(source.raw._sock)  # noqa: SLF001, there is no other way to it
            threading.Thread(
                target=ours.end_when, args=(stop,), name="end-stream", daemon=True
            ).start()
        yield
    finally:
        if ours is not None:
            ours.close()
        stream._response.close()  # noqa: SLF001, the SDK leaves the file open

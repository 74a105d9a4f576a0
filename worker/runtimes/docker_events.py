"""The engine's own events about our containers, and the stream they come through."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from worker import labels
from worker.runtimes.base import EventKind, RuntimeEvent

# The engine's words for what we listen to.
KINDS = {"die": EventKind.DIED, "destroy": EventKind.REMOVED, "start": EventKind.STARTED}


def read(event: dict[str, Any]) -> RuntimeEvent:
    """Return an engine event of ours; the stream carries only the actions in `KINDS`."""
    replica = event["Actor"]["Attributes"][labels.REPLICA]
    return RuntimeEvent(kind=KINDS[event["Action"]], replica=replica)


@contextmanager
def released(stream: Any) -> Iterator[None]:
    """Close what a stream reads from; the SDK only shuts its socket and leaves the file open."""
    try:
        yield
    finally:
        stream._response.close()  # noqa: SLF001, there is no other way to it


def close_when(stop: threading.Event, stream: Any) -> None:
    """End a blocking read when asked to."""

    def wait() -> None:
        stop.wait()
        stream.close()

    threading.Thread(target=wait, name="close-stream", daemon=True).start()

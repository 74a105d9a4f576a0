"""Carry a replica's log to whoever asked: lines go to a short-lived Redis stream.

Entries are `begin=1` (someone follows, and it has been heard), lines (`text`, `at`, `stream`), and
at last `end=1` with an `error` that is empty when all went well.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import redis

from worker.agent import Agent
from worker.protocol import LogRequest
from worker.runtimes.base import LogLine, RuntimeFailure

logger = logging.getLogger(__name__)

MAX_STREAMS = 32
MAX_LINES = 10_000
KEPT_SECONDS = 60
WANTED_CHECK_SECONDS = 2.0
BATCH = 200
READ_AHEAD = 1000


class LogStreams:
    """Serves log requests, each in threads of its own, a bounded number at once."""

    def __init__(self, agent: Agent, connect: Callable[[], redis.Redis]) -> None:
        self._agent = agent
        self._connect = connect
        self._free = threading.Semaphore(MAX_STREAMS)

    def begin(self, request: LogRequest) -> None:
        """Serve one request; it is refused when too many are being served."""
        if self._free.acquire(blocking=False):
            threading.Thread(target=self._serve, args=(request,), name="logs", daemon=True).start()
            return
        with closing(self._connect()) as connection:
            _end(connection, request, f"this node serves {MAX_STREAMS} log requests already")

    def _serve(self, request: LogRequest) -> None:
        stop = threading.Event()
        error = ""
        with closing(self._connect()) as connection:
            try:
                error = self._copy(connection, request, stop)
            except RuntimeFailure as failure:
                error = str(failure)
            except redis.RedisError as lost:
                logger.warning("A log stream ended: %s", lost)
            except Exception:
                # Whoever waits at the other end must hear of it, whatever it is.
                logger.exception("The log of replica %s could not be read", request.replica)
                error = "the log could not be read; the node's own log says why"
            finally:
                stop.set()
                self._free.release()
                _end(connection, request, error)

    def _copy(self, connection: redis.Redis, request: LogRequest, stop: threading.Event) -> str:
        """Pass the lines on; return what went wrong, empty when nothing did."""
        found = self._agent.runtime_of(request.replica)
        if found is None:
            return f"replica {request.replica} is not on this node"
        runtime, name = found
        if request.follow:
            _put(connection, request, {"begin": "1"})
            watch = threading.Thread(
                target=_watch_wanted, args=(connection, request, stop), name="logs-wanted"
            )
            watch.daemon = True
            watch.start()
        lines = runtime.logs(name, tail=request.tail, follow=request.follow, stop=stop)
        for batch in _batches(lines, stop):
            _put(connection, request, *map(_fields, batch))
        return ""


def _fields(line: LogLine) -> dict[Any, Any]:
    return {"text": line.text, "stream": line.stream, "at": line.at or ""}


def _put(connection: redis.Redis, request: LogRequest, *entries: dict[Any, Any]) -> None:
    key = f"logs:{request.uid}"
    pipeline = connection.pipeline(transaction=False)
    for fields in entries:
        pipeline.xadd(key, fields, maxlen=MAX_LINES, approximate=True)
    pipeline.expire(key, KEPT_SECONDS)
    pipeline.execute()


def _end(connection: redis.Redis, request: LogRequest, error: str) -> None:
    try:
        _put(connection, request, {"end": "1", "error": error})
    except redis.RedisError as lost:
        logger.warning("The end of a log stream could not be told: %s", lost)


def _watch_wanted(connection: redis.Redis, request: LogRequest, stop: threading.Event) -> None:
    """End the stream soon after nobody wants it any more."""
    while not stop.wait(WANTED_CHECK_SECONDS):
        try:
            wanted = connection.exists(f"logs:{request.uid}:wanted")
        except redis.RedisError:
            wanted = 0
        if not wanted:
            stop.set()


def _batches(lines: Iterator[LogLine], stop: threading.Event) -> Iterator[list[LogLine]]:
    """Group what is there already, so that a single line goes at once and a flood in few calls."""
    inbox: queue.Queue[LogLine | BaseException | None] = queue.Queue(READ_AHEAD)
    threading.Thread(target=_read, args=(lines, inbox, stop), name="logs-read", daemon=True).start()
    while (item := inbox.get()) is not None:
        batch: list[LogLine] = []
        while isinstance(item, LogLine):
            batch.append(item)
            if len(batch) == BATCH or inbox.empty():
                break
            item = inbox.get()
        if batch:
            yield batch
        if isinstance(item, BaseException):
            raise item
        if item is None:
            return


def _read(
    lines: Iterator[LogLine],
    inbox: queue.Queue[LogLine | BaseException | None],
    stop: threading.Event,
) -> None:
    end: BaseException | None = None
    try:
        for line in lines:
            if not _offer(inbox, line, stop):
                break
    # Whatever it is, it belongs to the thread that waits at the other end of the queue.
    except BaseException as error:  # noqa: BLE001
        end = error
    _offer(inbox, end, stop, patience=KEPT_SECONDS)


def _offer(
    inbox: queue.Queue[LogLine | BaseException | None],
    item: LogLine | BaseException | None,
    stop: threading.Event,
    *,
    patience: float = 0.0,
) -> bool:
    """Wait for room, but not for a reader that has gone; return whether there was any."""
    waited = 0.0
    while waited <= patience or not stop.is_set():
        try:
            inbox.put(item, timeout=0.2)
        except queue.Full:
            waited += 0.2
        else:
            return True
    return False

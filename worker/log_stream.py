"""Carry a replica's log to whoever asked: lines go to a short-lived Redis stream."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
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


class LogStreams:
    """Serves log requests, each in a thread of its own, a bounded number at once."""

    def __init__(self, agent: Agent, connect: Callable[[], redis.Redis]) -> None:
        self._agent = agent
        self._connect = connect
        self._free = threading.Semaphore(MAX_STREAMS)

    def begin(self, request: LogRequest) -> None:
        """Serve one request; it is refused when too many are being served."""
        if not self._free.acquire(blocking=False):
            self._end(request, f"this node serves {MAX_STREAMS} log requests already")
            return
        threading.Thread(target=self._serve, args=(request,), name="logs", daemon=True).start()

    def _serve(self, request: LogRequest) -> None:
        stop = threading.Event()
        error = ""
        try:
            found = self._agent.runtime_of(request.replica)
            if found is None:
                error = f"replica {request.replica} is not on this node"
            else:
                runtime, name = found
                if request.follow:
                    self._begin(request)
                    self._watch_wanted(request, stop)
                lines = runtime.logs(name, tail=request.tail, follow=request.follow, stop=stop)
                self._copy(request, lines)
        except RuntimeFailure as failure:
            error = str(failure)
        except redis.RedisError as lost:
            logger.warning("A log stream ended: %s", lost)
        finally:
            stop.set()
            self._free.release()
            self._end(request, error)

    def _begin(self, request: LogRequest) -> None:
        """Say at once that this node serves the request: a quiet container writes no line."""
        connection = self._connect()
        key = f"logs:{request.uid}"
        connection.xadd(key, {"begin": "1"})
        connection.expire(key, KEPT_SECONDS)

    def _copy(self, request: LogRequest, lines: Iterable[LogLine]) -> None:
        connection = self._connect()
        key = f"logs:{request.uid}"
        for batch in _batches(iter(lines), follow=request.follow):
            pipeline = connection.pipeline(transaction=False)
            for line in batch:
                fields: dict[Any, Any] = {"text": line.text, "stream": line.stream}
                fields["at"] = line.at or ""
                pipeline.xadd(key, fields, maxlen=MAX_LINES, approximate=True)
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.execute()

    def _watch_wanted(self, request: LogRequest, stop: threading.Event) -> None:
        """End the stream soon after nobody wants it any more."""

        def watch() -> None:
            connection = self._connect()
            while not stop.wait(WANTED_CHECK_SECONDS):
                try:
                    wanted = connection.exists(f"logs:{request.uid}:wanted")
                except redis.RedisError:
                    wanted = 0
                if not wanted:
                    stop.set()

        threading.Thread(target=watch, name="logs-wanted", daemon=True).start()

    def _end(self, request: LogRequest, error: str) -> None:
        try:
            connection = self._connect()
            key = f"logs:{request.uid}"
            connection.xadd(key, {"end": "1", "error": error})
            connection.expire(key, KEPT_SECONDS)
        except redis.RedisError as lost:
            logger.warning("The end of a log stream could not be told: %s", lost)


def _batches(lines: Iterator[LogLine], *, follow: bool) -> Iterator[list[LogLine]]:
    """Group lines; when following, each is passed on at once."""
    size = 1 if follow else BATCH
    while batch := list(itertools.islice(lines, size)):
        yield batch

"""Carry a command's output to whoever asked: it goes to a short-lived Redis stream.

Entries are `begin=1` (it has been heard), output (`stream`, `text`), `beat=1` while there is none,
and at last `end=1` with `outcome`, `message` and, if it exited, `exit_code`.

A request is served at most once, however often its message comes, and only while somebody waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import redis

from worker.agent import Agent
from worker.commands import CommandEnd, CommandRun
from worker.protocol import CommandOutcome, CommandRequest

logger = logging.getLogger(__name__)

MAX_RUNS = 16
KEPT_SECONDS = 300
TAKEN_SECONDS = 24 * 3600
WANTED_CHECK_SECONDS = 1.0
BEAT_SECONDS = 3.0
# Output that comes within so long goes together.
GATHER_SECONDS = 0.02
CLOSE_SECONDS = 3.0


class CommandStreams:
    """Runs commands for people, each in threads of its own, a bounded number at once."""

    def __init__(self, agent: Agent, connect: Callable[[], redis.Redis]) -> None:
        self._agent = agent
        self._connect = connect
        self._free = threading.Semaphore(MAX_RUNS)
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, threading.Event] = {}

    def begin(self, request: CommandRequest) -> None:
        """Serve one request; it is refused when too many are being served."""
        if self._free.acquire(blocking=False):
            threading.Thread(
                target=self._serve, args=(request,), name="command", daemon=True
            ).start()
            return
        with closing(self._connect()) as connection:
            outbox = _Outbox(connection, request, threading.Event())
            outbox.end(_failed(f"this node runs {MAX_RUNS} commands already"))

    def close(self) -> None:
        """Kill every command, and give their ends a moment to be told."""
        with self._lock:
            running = dict(self._running)
        for stop in running.values():
            stop.set()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self, request: CommandRequest) -> None:
        stop = threading.Event()
        with closing(self._connect()) as connection:
            outbox = _Outbox(connection, request, stop)
            with self._lock:
                self._running[threading.current_thread()] = stop
            try:
                if outbox.begin():
                    outbox.end(self._run(request, CommandRun(request, outbox.add, stop)))
            except redis.RedisError as lost:
                logger.warning("A command was not run: %s", lost)
            finally:
                with self._lock:
                    del self._running[threading.current_thread()]
                self._free.release()

    def _run(self, request: CommandRequest, run: CommandRun) -> CommandEnd:
        try:
            found = self._agent.runtime_of(request.replica)
            if found is None:
                return _failed(f"replica {request.replica} is not on this node")
            return run.run(*found)
        except Exception:
            # Whoever waits at the other end must hear of it, whatever it is.
            logger.exception("A command could not be run in replica %s", request.replica)
            return _failed("the command could not be run; the node's own log says why")


def _failed(message: str) -> CommandEnd:
    return CommandEnd(outcome=CommandOutcome.FAILED, message=message)


class _Outbox:
    """Sends what is added from a thread of its own; sets `stop` when nobody wants it."""

    def __init__(
        self, connection: redis.Redis, request: CommandRequest, stop: threading.Event
    ) -> None:
        self._connection = connection
        self._key = f"commands:{request.uid}"
        self._stop = stop
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, list[str]]] = []
        self._news = threading.Event()
        self._is_over = threading.Event()
        self._told_at = time.monotonic()
        self._thread = threading.Thread(target=self._carry, name="command-output", daemon=True)

    def begin(self) -> bool:
        """Claim the request and say that it has been heard; False when it is not to be served.

        Raises:
            redis.RedisError: the broker does not answer.
        """
        taken = f"{self._key}:taken"
        if not self._connection.set(taken, "1", nx=True, ex=TAKEN_SECONDS) or not self._is_wanted():
            logger.warning("A request to run a command is old news and was dropped: %s", self._key)
            return False
        self._put({"begin": "1"})
        self._thread.start()
        return True

    def add(self, stream: str, text: str) -> None:
        """Take output; it is sent in a moment."""
        with self._lock:
            if self._waiting and self._waiting[-1][0] == stream:
                self._waiting[-1][1].append(text)
            else:
                self._waiting.append((stream, [text]))
        self._news.set()

    def end(self, end: CommandEnd) -> None:
        """Send what is left, and how it ended."""
        self._is_over.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()
        code = {} if end.exit_code is None else {"exit_code": str(end.exit_code)}
        last = {"end": "1", "outcome": end.outcome.value, "message": end.message, **code}
        try:
            self._put(*self._gathered(), last)
        except redis.RedisError as lost:
            logger.warning("The end of a command could not be told: %s", lost)

    def _carry(self) -> None:
        try:
            while not self._is_over.is_set():
                self._news.wait(WANTED_CHECK_SECONDS)
                self._news.clear()
                self._send()
                if not self._is_wanted():
                    self._stop.set()
                self._is_over.wait(GATHER_SECONDS)
        except redis.RedisError as lost:
            logger.warning("A command is killed, since its output cannot be sent: %s", lost)
            self._stop.set()

    def _send(self) -> None:
        entries = self._gathered()
        if not entries and time.monotonic() - self._told_at > BEAT_SECONDS:
            entries = [{"beat": "1"}]
        if entries:
            self._put(*entries)

    def _gathered(self) -> list[dict[Any, Any]]:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return [{"stream": stream, "text": "".join(texts)} for stream, texts in waiting]

    def _is_wanted(self) -> bool:
        return bool(self._connection.exists(f"{self._key}:wanted"))

    def _put(self, *entries: dict[Any, Any]) -> None:
        pipeline = self._connection.pipeline(transaction=False)
        for fields in entries:
            pipeline.xadd(self._key, fields)
        pipeline.expire(self._key, KEPT_SECONDS)
        pipeline.execute()
        self._told_at = time.monotonic()

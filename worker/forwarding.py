"""Carry TCP connections between whoever asked and a port of a replica, by two lists at the broker.

`forwards:<uid>:in` brings what to send, `forwards:<uid>:out` takes what comes; the oldest item is
at the right end. An item is a letter and what belongs to it: `b` the connection is there, `d`
bytes, `e` nothing more comes this way (a sentence when something failed), `k` we are still there.

It goes on only while somebody wants it, or until both sides have ended.
"""

from __future__ import annotations

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import redis

from worker.agent import Agent
from worker.protocol import ForwardRequest
from worker.runtimes.base import RuntimeFailure

logger = logging.getLogger(__name__)

MAX_FORWARDS = 64
KEPT_SECONDS = 60
CONNECT_SECONDS = 3.0
WAIT_SECONDS = 1.0
BEAT_SECONDS = 3.0
CHUNK_BYTES = 64 * 1024
# No more is read from the replica while so many pieces wait for their reader.
MOST_WAITING = 32
FULL_SECONDS = 0.01
CLOSE_SECONDS = 3.0


class NotReached(Exception):
    """The port could not be connected to; the message is one sentence."""


class Forwards:
    """Serves connections, each in threads of its own, a bounded number at once."""

    def __init__(self, agent: Agent, connect: Callable[[], redis.Redis]) -> None:
        self._agent = agent
        self._connect = connect
        self._free = threading.Semaphore(MAX_FORWARDS)
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, threading.Event] = {}

    def begin(self, request: ForwardRequest) -> None:
        """Serve one connection; it is refused when too many are being served."""
        if self._free.acquire(blocking=False):
            threading.Thread(
                target=self._serve, args=(request,), name="forward", daemon=True
            ).start()
            return
        with closing(self._connect()) as broker:
            told = f"this node carries {MAX_FORWARDS} forwarded connections already"
            _Pipe(broker, request, threading.Event()).put(b"e", told.encode())

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            running = dict(self._running)
        for stop in running.values():
            stop.set()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in running:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self, request: ForwardRequest) -> None:
        stop = threading.Event()
        with self._lock:
            self._running[threading.current_thread()] = stop
        try:
            with closing(self._connect()) as broker:
                self._carry(_Pipe(broker, request, stop), request)
        except redis.RedisError as lost:
            logger.warning("A forwarded connection ended: %s", lost)
        finally:
            with self._lock:
                del self._running[threading.current_thread()]
            self._free.release()

    def _carry(self, pipe: _Pipe, request: ForwardRequest) -> None:
        if not pipe.is_wanted():
            logger.warning("A request to forward a port is old news and was dropped")
            return
        try:
            connection = self._reach(request)
        except NotReached as failure:
            pipe.put(b"e", str(failure).encode())
            return
        with connection:
            # Two threads use it, each at its own pace: neither may set a time for the other.
            connection.settimeout(0)
            pipe.put(b"b")
            sender = threading.Thread(
                target=pipe.send_on, args=(connection,), name="forward-in", daemon=True
            )
            sender.start()
            pipe.bring_back(connection)
            sender.join()

    def _reach(self, request: ForwardRequest) -> socket.socket:
        """Return a connection to the port.

        Raises:
            NotReached: there is none.
        """
        found = self._agent.runtime_of(request.replica)
        if found is None:
            raise NotReached(f"replica {request.replica} is not on this node")
        runtime, name = found
        try:
            info = runtime.inspect(name)
        except RuntimeFailure as failure:
            raise NotReached(str(failure)) from failure
        if info is None:
            raise NotReached(f"replica {request.replica} is not running")
        port = dict(info.ports).get(request.port, request.port)
        try:
            return socket.create_connection((info.address or "127.0.0.1", port), CONNECT_SECONDS)
        except OSError as error:
            raise NotReached(
                f"nothing takes connections on port {request.port} of replica {request.replica} "
                f"({error.strerror or error})"
            ) from error


class _Pipe:
    """Both lists of one connection; `stop` is set when nobody wants it any more."""

    def __init__(self, broker: redis.Redis, request: ForwardRequest, stop: threading.Event) -> None:
        self._broker = broker
        self._key = f"forwards:{request.uid}"
        self._stop = stop
        self._told_at = time.monotonic()

    def is_wanted(self) -> bool:
        """Tell whether somebody still waits at the other end."""
        return bool(self._broker.exists(f"{self._key}:wanted"))

    def put(self, letter: bytes, rest: bytes = b"") -> None:
        """Add an item for whoever asked."""
        pipeline = self._broker.pipeline(transaction=False)
        pipeline.lpush(f"{self._key}:out", letter + rest)
        pipeline.expire(f"{self._key}:out", KEPT_SECONDS)
        pipeline.execute()
        self._told_at = time.monotonic()

    def send_on(self, connection: socket.socket) -> None:
        """Pass on what comes for the replica, until its end or until nobody wants it."""
        try:
            while not self._stop.is_set():
                found: Any = self._broker.brpop([f"{self._key}:in"], timeout=WAIT_SECONDS)
                if found is None:
                    if not self.is_wanted():
                        self._stop.set()
                    continue
                item = found[1]
                if item[:1] == b"e":
                    connection.shutdown(socket.SHUT_WR)
                    return
                self._send(connection, item[1:])
        except redis.RedisError as lost:
            logger.warning("A forwarded connection ended: %s", lost)
            self._stop.set()
        except OSError:
            # The replica hung up; whoever reads from it hears of that, too.
            return
        finally:
            if self._stop.is_set():
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _send(self, connection: socket.socket, data: bytes) -> None:
        """Send all of it, for as long as a replica takes and somebody wants that."""
        left = memoryview(data)
        while left and not self._stop.is_set():
            if _is_ready(connection, select.POLLOUT):
                with suppress(BlockingIOError):
                    left = left[connection.send(left) :]
            elif not self.is_wanted():
                self._stop.set()

    def bring_back(self, connection: socket.socket) -> None:
        """Pass on what the replica sends, until it has nothing more."""
        why = ""
        try:
            while not self._stop.is_set():
                piece = self._received(connection)
                if piece == b"":
                    break
                if piece is not None:
                    self._wait_for_room()
                    self.put(b"d", piece)
                elif time.monotonic() - self._told_at > BEAT_SECONDS:
                    self.put(b"k")
        except OSError as error:
            why = f"the replica broke the connection off ({error.strerror or error})"
        self.put(b"e", why.encode())

    @staticmethod
    def _received(connection: socket.socket) -> bytes | None:
        """Return some bytes, nothing at the end, None when there are none for a while."""
        if not _is_ready(connection, select.POLLIN):
            return None
        try:
            return connection.recv(CHUNK_BYTES)
        except BlockingIOError:
            return None

    def _wait_for_room(self) -> None:
        while not self._stop.is_set() and self._broker.llen(f"{self._key}:out") > MOST_WAITING:
            self._stop.wait(FULL_SECONDS)


def _is_ready(connection: socket.socket, event: int) -> bool:
    """Wait until a connection can be read from or written to, or has ended; False if in vain."""
    poller = select.poll()
    poller.register(connection, event)
    return bool(poller.poll(WAIT_SECONDS * 1000))

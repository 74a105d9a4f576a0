"""Requests at a fixed rate whatever becomes of those before; none is ever repeated.

What a request took counts from the moment it was due, so that nobody's waiting is hidden because
the one before took long. It runs as a process of its own (`running`), for an even pace.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
READ_BYTES = 1 << 16
TIMEOUT_SECONDS, END_SECONDS = 10.0, 120.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """How some of the requests reach the replicas, and the answer they must get.

    Those that keep their connections take turns on so many, each for so long (0: for ever).
    """

    name: str
    address: str
    port: int
    host: str = "load.test"
    path: str = "/"
    body: str = "hello"
    keeps: bool = False
    connections: int = 8
    life_seconds: float = 0


class Outcome(NamedTuple):
    """What became of one request; no fault is a full answer of status 200. `due` is monotonic.

    `late` is how long after that it was begun, which is part of `seconds`: much of it says that
    this machine is too busy to send so much.
    """

    way: str
    due: float
    seconds: float
    fault: str
    late: float = 0.0


class _Failed(Exception):
    """What a client sees when it does not get the answer it should get."""


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    began: float

    def is_open(self) -> bool:
        """Tell whether a client that looks before it writes would use it."""
        return not self.reader.at_eof() and self.reader.exception() is None


@dataclass
class Client:
    """Asks by one way."""

    way: Way
    timeout_seconds: float
    idle: deque[_Connection] = field(default_factory=deque)
    opened: int = 0

    async def ask(self, due: float) -> Outcome:
        """Send one request; return what became of it."""
        late = time.monotonic() - due
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await self._ask()
            fault = ""
        except ConnectionRefusedError:
            fault = "refused"
        except (ConnectionResetError, BrokenPipeError):
            fault = "reset"
        except TimeoutError:
            fault = "timeout"
        except _Failed as failed:
            fault = str(failed)
        except OSError as error:
            fault = type(error).__name__
        return Outcome(self.way.name, due, time.monotonic() - due, fault, late)

    async def _ask(self) -> None:
        connection = await self._connection()
        is_kept = False
        try:
            words = "" if self.way.keeps else "Connection: close\r\n"
            head = f"GET {self.way.path} HTTP/1.1\r\nHost: {self.way.host}\r\n{words}\r\n"
            connection.writer.write(head.encode())
            is_kept = await _answer(connection.reader, self.way.body) and self.way.keeps
        finally:
            self._leave(connection, is_kept=is_kept)

    async def _connection(self) -> _Connection:
        """Take the connection that was idle longest; a new one while there are few, or none."""
        now = time.monotonic()
        while self.idle and self.opened >= self.way.connections:
            found = self.idle.popleft()
            life = self.way.life_seconds
            if found.is_open() and not (life and now - found.began > life):
                return found
            self._leave(found, is_kept=False)
        reader, writer = await asyncio.open_connection(
            self.way.address, self.way.port, limit=READ_BYTES
        )
        self.opened += 1
        return _Connection(reader, writer, now)

    def _leave(self, connection: _Connection, *, is_kept: bool) -> None:
        if is_kept and self.opened <= self.way.connections:
            self.idle.append(connection)
            return
        self.opened -= 1
        connection.writer.close()

    def close(self) -> None:
        """Let go of the connections that were kept."""
        while self.idle:
            self._leave(self.idle.popleft(), is_kept=False)


async def _answer(reader: asyncio.StreamReader, expected: str) -> bool:
    """Read an answer; return whether the connection may be used again.

    Raises:
        _Failed: it is not the one that was expected.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        raise _Failed("short head" if error.partial else "closed") from None
    except asyncio.LimitOverrunError:
        raise _Failed("no HTTP") from None
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    fields = {key.lower(): value.strip() for key, _, value in (li.partition(":") for li in lines)}
    length = fields.get("content-length", "")
    if not words[0].startswith("HTTP/1.") or len(words) < 2 or not length.isdecimal():
        raise _Failed("no HTTP")
    try:
        body = await reader.readexactly(int(length))
    except asyncio.IncompleteReadError:
        raise _Failed("short body") from None
    if words[1] != "200":
        raise _Failed(f"status {words[1]}")
    if body.decode("latin-1").strip() != expected:
        raise _Failed("wrong body")
    return words[0] == "HTTP/1.1" and fields.get("connection", "").lower() != "close"


async def offer(
    ways: Sequence[Way], rate: float, end: asyncio.Event, tell: Callable[[Outcome], object]
) -> None:
    """Send so many requests a second, the ways in turn, until told to end."""
    clients = [Client(way, TIMEOUT_SECONDS) for way in ways]
    under_way: set[asyncio.Task[Outcome]] = set()

    def ended(task: asyncio.Task[Outcome]) -> None:
        under_way.discard(task)
        tell(task.result())

    began, number = time.monotonic(), 0
    while not end.is_set():
        due = began + number / rate
        # Also when it is late: those before have to get their turn.
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(clients[number % len(clients)].ask(due))
        under_way.add(task)
        task.add_done_callback(ended)
        number += 1
    while under_way:
        await asyncio.wait(under_way)
    for client in clients:
        client.close()


@dataclass
class Load:
    """Requests that are being sent; their outcomes are there once that has ended."""

    process: subprocess.Popen[str]
    told: IO[str]
    outcomes: list[Outcome] = field(default_factory=list)

    def await_more(self, count: int) -> None:
        """Return when so many more requests have ended."""
        wanted = self._ended() + count
        while self._ended() < wanted:
            assert self.process.poll() is None
            time.sleep(0.05)

    def _ended(self) -> int:
        number = self.told.fileno()
        # Not by reading on: both processes have one place in the file.
        return os.pread(number, os.fstat(number).st_size, 0).count(b"\n")

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            assert self.process.wait(END_SECONDS) == 0
        finally:
            self.process.kill()
            self.process.wait()
        self.told.seek(0)
        self.outcomes = [Outcome(*json.loads(line)) for line in self.told]


@contextmanager
def running(ways: Sequence[Way], rate: float) -> Iterator[Load]:
    """Send requests from another process until the block ends."""
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.open_load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=told,
            text=True,
        )
        load = Load(process, told)
        # It stands for clients on other machines, which do not wait for this one's processors.
        with suppress(PermissionError):
            os.sched_setscheduler(process.pid, os.SCHED_RR, os.sched_param(1))
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps([[asdict(way) for way in ways], rate]) + "\n")
            process.stdin.flush()
            yield load
        finally:
            load.end()


def faults(outcomes: Iterable[Outcome]) -> Counter[str]:
    """Count what went wrong, by way and kind."""
    return Counter(f"{one.way}: {one.fault}" for one in outcomes if one.fault)


def outage(outcomes: Iterable[Outcome]) -> float:
    """Return the seconds from the first request that failed to the end of the latest that did."""
    failed = [one for one in outcomes if one.fault]
    first = min((one.due for one in failed), default=0.0)
    return max((one.due + one.seconds for one in failed), default=first) - first


def percentile(outcomes: Iterable[Outcome], percent: float) -> float:
    """Return what so many of a hundred requests took at most, in seconds; failed ones count."""
    ordered = sorted(one.seconds for one in outcomes)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


async def _main() -> None:
    """Send what is asked for on the first line of the input until the input ends."""
    ways, rate = json.loads(sys.stdin.readline())
    end = asyncio.Event()
    asyncio.get_running_loop().add_reader(
        sys.stdin, lambda: None if os.read(sys.stdin.fileno(), 1) else end.set()
    )

    def tell(one: Outcome) -> None:
        sys.stdout.write(json.dumps(one) + "\n")
        sys.stdout.flush()

    await offer([Way(**way) for way in ways], rate, end, tell)


if __name__ == "__main__":
    asyncio.run(_main())

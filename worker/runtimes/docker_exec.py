"""Run a command in a container of the engine, and kill it: for that the engine has no call."""

from __future__ import annotations

import queue
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker.types
import requests
from docker.errors import DockerException

from worker.processes import ProcessId, kill_all_of
from worker.runtimes.base import ExecResult, FailureReason, RuntimeFailure
from worker.runtimes.collecting import Collector
from worker.runtimes.docker_errors import failure_of

CONNECT_SECONDS = 60
# The engine ends the stream; this is for one that vanished in the middle.
SILENCE_SECONDS = 30.0
END_SECONDS = 5.0
LOOK_SECONDS = 0.02
READ_AHEAD = 16
HEADER = struct.Struct(">BxxxL")
ENGINES_OWN_WORDS = b"OCI runtime exec failed"
NOT_FOUND = 127
NOT_EXECUTABLE = 126
Piece = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """A command of one container, created and begun once; `api` is the SDK's low-level client."""

    api: Any
    name: str
    id: str

    @classmethod
    def create(cls, api: Any, name: str, argv: tuple[str, ...]) -> Command:
        """Announce the command to the engine.

        Raises:
            RuntimeFailure: the container does not run.
        """
        created = _call(api.exec_create, f"running a command in {name}", name, list(argv))
        return cls(api, name, created["Id"])

    def run(self, collector: Collector, timeout_seconds: float) -> ExecResult:
        """Run it until it ends or the collector has had enough."""
        reading = _Reading(self, timeout_seconds + SILENCE_SECONDS)
        try:
            ended = self._collect(reading, collector)
            if ended is not None:
                return collector.exited(ended)
            return collector.given_up(self._kill())
        except RuntimeFailure as failure:
            if failure.reason is not FailureReason.COMMAND_NOT_FOUND:
                raise
            # Newer engines answer so where older ones begin a stream.
            collector.add("stderr", f"{failure}\n".encode())
            return collector.exited(NOT_FOUND)
        except BaseException:
            self._kill()
            raise
        finally:
            reading.close()

    def stream(self, silence_seconds: float) -> Any:
        """Begin it and return the engine's raw answer, closed with `.close()`."""
        # Without the SDK's request for an upgrade the answer is read to its last byte like any.
        response = self.api._post_json(  # noqa: SLF001, the SDK's call has no time limit
            self.api._url("/exec/{0}/start", self.id),  # noqa: SLF001, as above
            data={"Tty": False, "Detach": False},
            stream=True,
            timeout=(CONNECT_SECONDS, silence_seconds),
        )
        self.api._raise_for_status(response)  # noqa: SLF001, as above
        return response

    def _collect(self, reading: _Reading, collector: Collector) -> int | None:
        """Take its output; return its exit code, None when it is to be killed."""
        while (patience := collector.patience()) > 0:
            with suppress(queue.Empty):
                piece = reading.next(patience)
                if piece is None:
                    return self._await_code(collector)
                if piece[1].startswith(ENGINES_OWN_WORDS) and not self._has_begun():
                    return _refused(piece[1].decode(errors="replace"), collector)
                collector.add(*piece)
        return None

    def _has_begun(self) -> bool:
        """Tell whether it ever ran: engines tell on its stdout that it could not."""
        body = self._inspect()
        return bool(body["Running"] or body["Pid"])

    def _await_code(self, collector: Collector) -> int | None:
        """Wait for a command that has closed its output; it may run on all the same."""
        while True:
            body = self._inspect()
            if not body["Running"]:
                return 1 if body["ExitCode"] is None else int(body["ExitCode"])
            patience = collector.patience()
            if patience <= 0:
                return None
            time.sleep(min(patience, LOOK_SECONDS))

    def _kill(self) -> str:
        """Kill it on this machine; return what could not be done, in one sentence."""
        why = ""
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            body = self._inspect()
            pid = int(body.get("Pid") or 0)
            if not body["Running"] and pid:
                return ""
            if pid:
                why = _kill_process(pid, body["ContainerID"])
                if why:
                    return f"the command runs on in the container as process {pid}: {why}"
            time.sleep(LOOK_SECONDS)
        return why or "the engine does not say that the command has ended"

    def _inspect(self) -> dict[str, Any]:
        body: dict[str, Any]
        body = _call(self.api.exec_inspect, f"looking at a command in {self.name}", self.id)
        return body


class _Reading:
    """Reads a command's output in a thread of its own, not far ahead of whoever takes it."""

    def __init__(self, command: Command, silence_seconds: float) -> None:
        self._command = command
        self._silence_seconds = silence_seconds
        self._pieces: queue.Queue[Piece | Exception | None] = queue.Queue(READ_AHEAD)
        self._is_over = threading.Event()
        self._stream: docker.types.CancellableStream[Any] | None = None
        threading.Thread(target=self._read, name="exec", daemon=True).start()

    def next(self, seconds: float) -> Piece | None:
        """Return the next piece, None at the end.

        Raises:
            queue.Empty: none came in time.
            RuntimeFailure: the engine failed.
        """
        piece = self._pieces.get(timeout=seconds)
        if isinstance(piece, Exception):
            raise failure_of(piece, f"running a command in {self._command.name}") from piece
        return piece

    def close(self) -> None:
        """Read no further."""
        self._is_over.set()
        if (stream := self._stream) is not None:
            with suppress(OSError, AttributeError, DockerException):
                stream.close()

    def _read(self) -> None:
        end: Exception | None = None
        response = None
        try:
            response = self._command.stream(self._silence_seconds)
            self._stream = docker.types.CancellableStream(iter(()), response)
            for piece in _pieces(response):
                if not self._put(piece):
                    return
        # Whatever it is, it belongs to the thread that waits at the other end of the queue.
        except Exception as error:  # noqa: BLE001
            end = error
        finally:
            if response is not None:
                response.close()
        self._put(end)

    def _put(self, item: Piece | Exception | None) -> bool:
        while not self._is_over.is_set():
            with suppress(queue.Full):
                self._pieces.put(item, timeout=0.2)
                return True
        return False


def _pieces(response: Any) -> Iterator[Piece]:
    """Yield what the frames of the engine's answer hold."""
    while len(header := response.raw.read(HEADER.size)) == HEADER.size:
        number, length = HEADER.unpack(header)
        data = response.raw.read(length)
        yield ("stderr" if number == 2 else "stdout"), data


def _refused(text: str, collector: Collector) -> int:
    """Tell why a command could not be begun; return a shell's exit code for it."""
    sentence = text.strip().rpartition("exec: ")[2].removesuffix(": unknown")
    collector.add("stderr", f"{sentence}\n".encode())
    is_missing = any(word in text for word in ("not found", "no such file"))
    return NOT_FOUND if is_missing else NOT_EXECUTABLE


def _kill_process(pid: int, container: str) -> str:
    """Kill a process of the engine with all it started; return why not, empty when done."""
    process = ProcessId.of(pid)
    if process is None:
        return "" if _is_engine_here(container) else "the engine runs on another machine"
    try:
        if container not in Path(f"/proc/{pid}/cgroup").read_text():
            return "the engine's processes cannot be seen from here"
        kill_all_of(process)
    except PermissionError:
        return "this agent is not root and may not kill it"
    except OSError:
        # It has just ended.
        return ""
    return ""


def _is_engine_here(container: str) -> bool:
    """Tell whether any process of the container can be seen on this machine."""
    for path in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):
            if container in path.read_text():
                return True
    return False


def _call(call: Any, what: str, *arguments: Any) -> Any:
    try:
        return call(*arguments)
    except (DockerException, requests.RequestException, OSError) as error:
        raise failure_of(error, what) from error

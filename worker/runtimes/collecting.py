"""What a runtime does with a running command's output, and how long it goes on."""

from __future__ import annotations

import threading
import time

from worker.runtimes.base import ExecEnd, ExecResult, OutputCallback

OUTPUT_BYTES = 64 * 1024
TIMED_OUT = 124
KILLED = 137
# How soon a command is killed after somebody has asked for it.
LOOK_SECONDS = 0.1


class Collector:
    """Hands output on, keeps its last bytes, and knows when to give the command up."""

    def __init__(
        self, timeout_seconds: float, take: OutputCallback, stop: threading.Event | None
    ) -> None:
        self._deadline = time.monotonic() + timeout_seconds
        self._take = take
        self._stop = stop
        self._kept = bytearray()

    def add(self, stream: str, data: bytes) -> None:
        """Take a piece of output."""
        self._kept += data
        del self._kept[:-OUTPUT_BYTES]
        self._take(stream, data)

    def patience(self) -> float:
        """Return for how many seconds to wait before asking again; 0 when it is to be killed."""
        if self._stop is None:
            return max(0.0, self._deadline - time.monotonic())
        if self._stop.is_set():
            return 0.0
        return max(0.0, min(LOOK_SECONDS, self._deadline - time.monotonic()))

    def exited(self, exit_code: int) -> ExecResult:
        """Return the result of a command that ended by itself."""
        return ExecResult(exit_code=exit_code, output=self._output())

    def given_up(self, left: str = "") -> ExecResult:
        """Return the result of a command that was killed; `left` says what could not be."""
        is_stopped = self._stop is not None and self._stop.is_set()
        return ExecResult(
            exit_code=KILLED if is_stopped else TIMED_OUT,
            output=self._output(),
            end=ExecEnd.STOPPED if is_stopped else ExecEnd.TIMED_OUT,
            left=left,
        )

    def _output(self) -> str:
        return self._kept.decode(errors="replace")

"""Run one command in a replica for a person: bounded in time and output, its end in a sentence."""

from __future__ import annotations

import codecs
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

from worker.protocol import CommandOutcome, CommandRequest
from worker.runtimes.base import (
    ContainerRuntime,
    ExecEnd,
    ExecResult,
    FailureReason,
    RuntimeFailure,
)

MAX_OUTPUT_BYTES = 1024 * 1024
_BY_SIGNAL = 128
_MEANINGS = {126: "it cannot be executed", 127: "a command was not found"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnd:
    """How a command ended; `exit_code` is None when it did not end by itself."""

    outcome: CommandOutcome
    message: str
    exit_code: int | None = None


class CommandRun:
    """One command; `give` gets its output as text, by the name of the stream.

    It is killed when `stop` is set, since nobody wants its output any more.
    """

    def __init__(
        self, request: CommandRequest, give: Callable[[str, str], None], stop: threading.Event
    ) -> None:
        self._request = request
        self._give = give
        self._stop = stop
        self._room = MAX_OUTPUT_BYTES
        self._is_cut = False
        # A character may come in two pieces.
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")(errors="replace")
            for name in ("stdout", "stderr")
        }

    def run(self, runtime: ContainerRuntime, name: str) -> CommandEnd:
        """Run it in a container until its end."""
        request = self._request
        try:
            result = runtime.exec(
                name, request.argv, request.timeout_seconds, take=self._take, stop=self._stop
            )
        except RuntimeFailure as failure:
            gone = failure.reason is FailureReason.NOT_FOUND
            message = f"replica {request.replica} is not running" if gone else str(failure)
            return CommandEnd(outcome=CommandOutcome.FAILED, message=message)
        for stream, decoder in self._decoders.items():
            self._pass_on(stream, decoder.decode(b"", final=True))
        return self._end(result)

    def _take(self, stream: str, data: bytes) -> None:
        if len(data) > self._room:
            self._is_cut = True
            self._stop.set()
        self._pass_on(stream, self._decoders[stream].decode(data[: self._room]))
        self._room -= min(self._room, len(data))

    def _pass_on(self, stream: str, text: str) -> None:
        if text:
            self._give(stream, text)

    def _end(self, result: ExecResult) -> CommandEnd:
        if self._is_cut:
            why = f"its output is longer than {MAX_OUTPUT_BYTES >> 20} MiB and was cut"
            return CommandEnd(outcome=CommandOutcome.CUT, message=_killed(why, result))
        if result.end is ExecEnd.EXITED:
            return CommandEnd(
                outcome=CommandOutcome.EXITED,
                message=_exit_sentence(result.exit_code),
                exit_code=result.exit_code,
            )
        if result.end is ExecEnd.TIMED_OUT:
            why = f"it took longer than {self._request.timeout_seconds} s"
            return CommandEnd(outcome=CommandOutcome.TIMED_OUT, message=_killed(why, result))
        why = "the node's agent is ending, or nobody seemed to wait any more"
        return CommandEnd(outcome=CommandOutcome.ABANDONED, message=_killed(why, result))


def _killed(why: str, result: ExecResult) -> str:
    if result.left:
        return f"{why}, but {result.left}"
    if result.end is ExecEnd.EXITED:
        return f"{why}; the command ended with code {result.exit_code}"
    return f"{why}; the command was killed"


def _exit_sentence(code: int) -> str:
    meaning = _MEANINGS.get(code, "")
    if code > _BY_SIGNAL:
        try:
            meaning = f"killed by {signal.Signals(code - _BY_SIGNAL).name}"
        except ValueError:
            meaning = ""
    return f"it exited with code {code}" + (f" ({meaning})" if meaning else "")

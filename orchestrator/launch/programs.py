"""Starts one child program so that it cannot outlive the process that started it.

The kernel kills the child when its parent dies (PR_SET_PDEATHSIG), also when the parent is
killed with signal 9. That reaches direct children only: containers and sandboxed replicas are
children of the runtime or in a session of their own, and stay.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
STOP_SECONDS = 10.0

# Loaded here and not in the child: between fork and exec nothing may be imported.
_prctl: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, where its output goes, and how long it may take to end when asked to."""

    name: str
    argv: tuple[str, ...]
    log: Path
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    stop_seconds: float = STOP_SECONDS


def spawn(program: Program) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, its output appended to its log.

    Its own session keeps Ctrl-C away from it: the supervisor decides who ends when. Call this
    from the main thread only; the kernel ties the child's life to the thread that made it.

    Raises:
        OSError: the program cannot be executed.
    """
    parent = os.getpid()
    # Appending makes it safe to cut the file short while the child writes to it.
    with program.log.open("ab") as log:
        return subprocess.Popen(
            program.argv,
            cwd=program.cwd,
            env=dict(program.env),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=program.pass_fds,
            preexec_fn=lambda: _die_with(parent),
        )


def _die_with(parent: int) -> None:
    # SIGKILL, because whoever starts us again must find the ports free at once.
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the line above took hold.
        os._exit(1)

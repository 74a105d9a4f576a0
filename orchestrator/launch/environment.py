"""The virtual environment: made and filled when it is missing or out of date, then entered."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.home import ROOT

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
SHOWN_LINES = 15


class Unready(Exception):
    """Something a person must do first; the message says what."""


def python() -> str:
    """Return the interpreter that has the dependencies."""
    return sys.executable if _is_external() else str(PYTHON)


def enter(extras: Sequence[str] = ()) -> None:
    """Make sure the dependencies are there, and go on in the interpreter that has them.

    Raises:
        Unready: the environment cannot be made; nothing half made is left behind.
    """
    if _is_external():
        return
    ensure(extras)
    if Path(sys.prefix) != VENV:
        arguments = [str(PYTHON), str(ROOT / "manage.py"), *sys.argv[1:]]
        os.execv(PYTHON, arguments)  # noqa: S606, our own interpreter


def ensure(extras: Sequence[str] = ()) -> None:
    """Make and fill the environment as far as it is not."""
    with _lock():
        if not PYTHON.exists():
            _make()
        wanted = _stamp()
        missing = [name for name in ("", *extras) if _installed(name) != wanted]
        if missing:
            _install([name for name in missing if name])
            for name in missing:
                (VENV / f"kijabi-{name or 'base'}.stamp").write_text(wanted)


def _is_external() -> bool:
    """Tell whether somebody else looks after the dependencies (the container image does)."""
    return os.environ.get("KIJABI_NO_VENV") == "1"


@contextmanager
def _lock() -> Iterator[None]:
    """Let two commands that start at once install one after the other."""
    with (ROOT / "pyproject.toml").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stamp() -> str:
    text = (ROOT / "pyproject.toml").read_bytes() + sys.version.encode()
    return hashlib.sha256(text).hexdigest()


def _installed(extra: str) -> str:
    path = VENV / f"kijabi-{extra or 'base'}.stamp"
    return path.read_text() if path.exists() else ""


def _make() -> None:
    _say("making .venv")
    command = [sys.executable, "-m", "venv", str(VENV)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except BaseException:
        # Ctrl-C in the middle leaves a python without pip, which would pass for a finished one.
        shutil.rmtree(VENV, ignore_errors=True)
        raise
    if result.returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if "ensurepip" in result.stdout + result.stderr or "No module named venv" in result.stderr:
        raise Unready(
            "Python's venv module is not complete on this machine; run this, then try again:\n"
            "  apt-get install python3-venv"
        )
    raise Unready(f"the virtual environment cannot be made: {result.stderr.strip()[-500:]}")


def _install(extras: Sequence[str]) -> None:
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    what = f"the project with {', '.join(extras)}" if extras else "the project"
    _say(f"installing {what} into .venv (a minute or two the first time)")
    began = time.monotonic()
    process = subprocess.Popen(  # noqa: S603, our own interpreter
        [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--editable", target],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    for line in process.stdout or ():
        lines.append(line.rstrip())
        if line.startswith(("Collecting ", "Installing ", "Building ")):
            _say(f"  {line.strip()[:90]}")
    if process.wait() != 0:
        tail = "\n".join(lines[-SHOWN_LINES:])
        raise Unready(f"pip could not install {what}; its last lines were:\n{tail}")
    _say(f"installed in {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    sys.stderr.write(f"kijabi: {text}\n")
    sys.stderr.flush()

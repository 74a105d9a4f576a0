"""Makes sure the code runs in `.venv` with everything installed that a command needs.

Nothing outside the standard library may be imported here: this runs on a bare Python. A stamp
in `.venv` says what was installed for which pyproject.toml, so that the second start costs
nothing; a lock lets only one command install at a time.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.launch.console import LaunchError, phase, say
from orchestrator.launch.folder import REPOSITORY

VENV = REPOSITORY / ".venv"
SHOWN_LINES = 25
HEARTBEAT_SECONDS = 15.0


def ensure(extras: tuple[str, ...] = ()) -> None:
    """Go on inside `.venv` with the project and these extras installed, making it first if needed.

    Returns when this process already is that one; otherwise replaces this process. In an image
    that brings everything (`KIJABI_NO_VENV=1`) it does nothing.

    Raises:
        LaunchError: the environment cannot be made or pip failed.
    """
    if os.environ.get("KIJABI_NO_VENV") == "1":
        return
    if not _is_current(extras):
        with _install_lock():
            # Whoever held the lock before us may have done the work.
            if not _is_current(extras):
                _make_venv()
                _install(extras)
    if Path(sys.prefix).resolve() != VENV.resolve():
        python = str(VENV / "bin" / "python")
        os.execv(python, [python, str(REPOSITORY / "manage.py"), *sys.argv[1:]])


def _stamp_path() -> Path:
    return VENV / "kijabi-installed.json"


def _fingerprint() -> str:
    pyproject = (REPOSITORY / "pyproject.toml").read_bytes()
    # The folder is part of it: a venv that was moved points at code elsewhere.
    return hashlib.sha256(pyproject + str(REPOSITORY).encode()).hexdigest()


def _installed_extras() -> set[str] | None:
    """Return the extras that are installed for this very pyproject.toml, None when nothing is."""
    try:
        stamp = json.loads(_stamp_path().read_text())
    except (FileNotFoundError, ValueError):
        return None
    if stamp.get("fingerprint") != _fingerprint() or not (VENV / "bin" / "python").exists():
        return None
    return set(stamp.get("extras", []))


def _is_current(extras: tuple[str, ...]) -> bool:
    installed = _installed_extras()
    return installed is not None and installed >= set(extras)


@contextmanager
def _install_lock() -> Iterator[None]:
    with (REPOSITORY / ".venv.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another command is installing; waiting for it …")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_venv() -> None:
    if (VENV / "bin" / "python").exists():
        return
    _refuse_without_venv_module()
    draft = VENV.with_name(".venv.new")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with phase(f"Making the Python environment {VENV}"):
            _run_quietly([sys.executable, "-m", "venv", str(draft)], "Making the environment")
        # Scripts inside a venv carry its path, so it is made anew in place once we know it works.
        shutil.rmtree(draft)
        _run_quietly([sys.executable, "-m", "venv", str(VENV)], "Making the environment")
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _refuse_without_venv_module() -> None:
    """Debian splits venv and ensurepip off; without them `python -m venv` leaves a wreck behind."""
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if not missing:
        return
    command = "apt-get install python3-venv"
    if os.geteuid() != 0:
        command = f"sudo {command}"
    raise LaunchError(
        f"This Python cannot make an environment ({' and '.join(missing)} missing). "
        f"Run this once, then try again:\n\n    {command}\n"
    )


def _install(extras: tuple[str, ...]) -> None:
    wanted = sorted((_installed_extras() or set()) | set(extras))
    target = f"{REPOSITORY}[{','.join(wanted)}]" if wanted else str(REPOSITORY)
    _stamp_path().unlink(missing_ok=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
    title = "Installing Kijabi" + (f" with what {' and '.join(wanted)} needs" if wanted else "")
    with phase(title):
        _run_quietly([*pip, "--editable", target], "pip install")
    stamp = {"fingerprint": _fingerprint(), "extras": wanted}
    _stamp_path().write_text(json.dumps(stamp) + "\n")


def _run_quietly(command: list[str], title: str) -> None:
    """Run a slow command, showing that it moves; its last lines only when it fails.

    Raises:
        LaunchError: it ended with another status than 0.
    """
    latest: deque[str] = deque(maxlen=SHOWN_LINES)
    began = shown = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            latest.append(line.rstrip())
            now = time.monotonic()
            if line.startswith(("Installing collected", "Building")) or (
                now - shown > HEARTBEAT_SECONDS
            ):
                shown = now
                say(f"  {now - began:3.0f} s  {line.strip()[:100]}")
    if process.returncode:
        tail = "\n".join(f"    {line}" for line in latest)
        raise LaunchError(f"{title} failed with exit status {process.returncode}:\n{tail}")

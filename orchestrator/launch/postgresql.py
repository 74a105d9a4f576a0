"""A private PostgreSQL for the tests: in a temporary folder, on a free port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.launch import ports


def programs() -> Path | None:
    """Return the folder with the newest server programs, or None when there are none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def private_server(folder: Path) -> Iterator[str]:
    """Run a server that forgets everything; yield its URL. SIGTERM ends it as well."""
    with _ended_by_sigterm(), _server(folder) as url:
        yield url


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Turn SIGTERM into an ordinary exit, so that what is open is closed."""
    before = signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    place = Path(tempfile.mkdtemp(prefix="kijabi-pg-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(place, entry.pw_uid, entry.pw_gid)
    port = ports.free_port()
    data = place / "data"
    try:
        _run([folder / "initdb", "-D", data, "-U", "kijabi", "-A", "trust", "-E", "UTF8"], user)
        server = subprocess.Popen(  # noqa: S603, PostgreSQL's own program
            [
                str(folder / "postgres"),
                *("-D", str(data), "-p", str(port), "-k", str(place), "-h", "127.0.0.1"),
                *("-c", "fsync=off", "-c", "synchronous_commit=off"),
            ],
            user=user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            ready = [folder / "pg_isready", "-h", "127.0.0.1", "-p", port, "-t", "20", "-q"]
            _wait_for(ready)
            yield f"postgres://kijabi@127.0.0.1:{port}/postgres"
        finally:
            _end(server)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server at once, whatever its clients do: the data is thrown away."""
    server.send_signal(signal.SIGQUIT)
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        # Seen on a busy machine while somebody was just connecting.
        server.kill()
        server.wait()


def _wait_for(command: list[object]) -> None:
    for _ in range(200):
        words = [str(word) for word in command]
        if subprocess.run(words, check=False).returncode == 0:  # noqa: S603, as above
            return
        time.sleep(0.1)
    raise RuntimeError("the private PostgreSQL does not answer")


def _run(command: list[object], user: str | None) -> None:
    words = [str(word) for word in command]
    subprocess.run(words, user=user, check=True, capture_output=True)  # noqa: S603, as above

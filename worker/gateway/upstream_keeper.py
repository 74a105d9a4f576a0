"""Keep the program that tells the HTTP gateway who serves (see `upstream_server`), and tell it."""

from __future__ import annotations

import shutil
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from worker.gateway import companion, end_names, upstream_files, upstream_server
from worker.gateway.companion import Companion, Manner
from worker.gateway.live import LOOPBACK, Target
from worker.gateway.nftables import CannotRoute
from worker.gateway.upstream_files import UpstreamFiles

_NAME, _BEFORE = "upstreams", "ends"
# A change of one of its files makes it another program; all requests wait for its answers, which
# take it a ten thousandth of a second each.
_MADE_OF = (upstream_server, upstream_files, end_names)
_MANNER = Manner(nice=-10, made_of=tuple(Path(module.__file__ or "") for module in _MADE_OF))
_TRIES = 20
_LOOK_SECONDS = 0.02
# Asks for the address of the root, which has none: any answer says that somebody listens.
_KNOCK = bytes.fromhex("0000 0000 0001 0000 0000 0000 00 0001 0001")


class UpstreamKeeper:
    """Knows where that program listens, which stays the same from agent to agent if it can."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = UpstreamFiles(folder)
        self.port = _remembered(folder)
        self._companion = self._made()
        self._is_kept = bool(self.port) and self._companion.take_over()

    @property
    def routes_at(self) -> str:
        """Return where Caddy asks who serves a route.

        By a stream: while nobody listens, or who did was killed, that is known at once.
        """
        return f"tcp/{LOOPBACK}:{self.port}"

    @property
    def ends_at(self) -> str:
        """Return where Caddy asks for the address of an end."""
        return f"udp/{LOOPBACK}:{self.port}"

    def start(self) -> None:
        """Begin to keep it running, unless it is.

        Raises:
            CannotRoute: no port can be had for it, or its port cannot be written down.
        """
        if self._is_kept:
            return
        self.port = _free(self.port)
        self._companion = self._made()
        remembered = _file(self._folder)
        try:
            remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            remembered.write_text(str(self.port))
        except OSError as error:
            raise CannotRoute(f"Caddy cannot be told who serves: {error}") from error
        # What the release before this one has left running.
        companion.end(self._folder, _BEFORE, 0)
        self._companion.start()
        self._is_kept = True

    def publish(self, targets: Mapping[str, tuple[Target, ...]]) -> bool:
        """Have it say who serves each route; return whether it said otherwise.

        Raises:
            CannotRoute: it cannot be told; what it said of a route, or says by now, is in force.
        """
        try:
            return self._files.write(targets)
        except OSError as error:
            raise CannotRoute(f"Caddy cannot be told who serves: {error}") from error

    def check(self) -> bool:
        """Tell whether it can still say what it was told; if not, publishing tells it again."""
        return self._files.are_there()

    def await_answer(self, seconds: float) -> bool:
        """Return whether it answers in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker, suppress(OSError):
                asker.connect((LOOPBACK, self.port))
                asker.settimeout(1.0)
                asker.send(_KNOCK)
                if asker.recv(100):
                    return True
            time.sleep(_LOOK_SECONDS)
        return False

    def leave(self) -> None:
        """Keep it no longer; it runs on."""
        self._companion.leave()

    def _made(self) -> Companion:
        words = (str(self.port), str(self._files.folder))
        argv = (sys.executable, "-m", "worker.gateway.upstream_server", *words)
        return Companion(_NAME, argv, self._folder, lambda: b"", _MANNER)


def end(folder: Path) -> None:
    """End the one that was left running in a folder."""
    companion.end(folder, _NAME, 1.0)
    companion.end(folder, _BEFORE, 1.0)
    shutil.rmtree(UpstreamFiles(folder).folder, ignore_errors=True)


def _file(folder: Path) -> Path:
    return folder / "upstreams-port"


def _remembered(folder: Path) -> int:
    try:
        return int(_file(folder).read_text())
    except (OSError, ValueError):
        return 0


def _free(wanted: int) -> int:
    """Return this port if it can be had, else another; for datagrams and streams.

    Raises:
        CannotRoute: none can be had.
    """
    for port in (wanted, *[0] * _TRIES):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as streams,
            suppress(OSError),
        ):
            streams.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            datagrams.bind((LOOPBACK, port))
            found = int(datagrams.getsockname()[1])
            streams.bind((LOOPBACK, found))
            return found
    raise CannotRoute("no port of the loopback is free on which Caddy could ask who serves")

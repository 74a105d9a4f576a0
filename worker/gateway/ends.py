"""Keep the program that tells the HTTP gateway the addresses of ends (see `end_server`)."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from worker.gateway import companion
from worker.gateway.companion import Companion
from worker.gateway.live import LOOPBACK

_NAME = "ends"
_LOOK_SECONDS = 0.02
# Asks for the address of the root, which has none: any answer says that somebody listens.
_KNOCK = bytes.fromhex("0000 0000 0001 0000 0000 0000 00 0001 0001")


class Ends:
    """Knows where that program listens, which stays the same from agent to agent if it can."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = _remembered(folder)
        self._companion = self._made()
        self._is_kept = bool(self.port) and self._companion.take_over()
        if not self._is_kept:
            self.port = _free(self.port)
            self._companion = self._made()

    def start(self) -> None:
        """Begin to keep it running, unless it is."""
        if self._is_kept:
            return
        remembered = _file(self._folder)
        remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remembered.write_text(str(self.port))
        self._companion.start()
        self._is_kept = True

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
        argv = (sys.executable, "-m", "worker.gateway.end_server", str(self.port))
        return Companion(_NAME, argv, self._folder, lambda: b"")


def end(folder: Path) -> None:
    """End the one that was left running in a folder."""
    companion.end(folder, _NAME, 1.0)


def _file(folder: Path) -> Path:
    return folder / "ends-port"


def _remembered(folder: Path) -> int:
    try:
        return int(_file(folder).read_text())
    except (OSError, ValueError):
        return 0


def _free(wanted: int) -> int:
    """Return this port if it can be had, else another."""
    for port in (wanted, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return int(probe.getsockname()[1])
    return wanted

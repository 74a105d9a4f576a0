"""Ports of the node for sandboxes, which share its network: each number goes to one at a time."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Callable
from pathlib import Path

from worker.protocol import Port
from worker.runtimes.base import FailureReason, RuntimeFailure

ATTEMPTS = 200
_FLOOR = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class PortBook:
    """Which sandbox was given which ports; `is_held` says whether one still needs them."""

    def __init__(self, is_held: Callable[[str], bool]) -> None:
        self._is_held = is_held
        self._guard = threading.Lock()
        self._given: dict[str, set[int]] = {}

    def enter(self, name: str, numbers: set[int]) -> None:
        """Note the ports of a sandbox that an earlier agent started."""
        with self._guard:
            self._given[name] = numbers

    def take(self, name: str, ports: tuple[Port, ...]) -> tuple[tuple[int, int], ...]:
        """Give every container port a port of the node that nothing else uses.

        Raises:
            RuntimeFailure: a port that was asked for by number cannot be had.
        """
        with self._guard:
            mine: set[int] = set()
            self._given[name] = mine
            pairs = []
            for port in ports:
                number = self._asked_for(name, port) if port.host_port else self._free(port)
                mine.add(number)
                pairs.append((port.container_port, number))
            return tuple(pairs)

    def give_back(self, name: str) -> None:
        """Let others have the ports of a sandbox that is gone."""
        with self._guard:
            self._given.pop(name, None)

    def _asked_for(self, name: str, port: Port) -> int:
        number = port.host_port or 0
        if number < lowest_port():
            raise RuntimeFailure(
                FailureReason.INVALID,
                f"hostPort {number} needs a privilege that no sandbox has; "
                f"choose one from {lowest_port()} on",
                permanent=True,
            )
        if self._is_given(number, besides=name) or not _bind(number, port.protocol):
            raise RuntimeFailure(
                FailureReason.PORT_TAKEN,
                f"port {number} is taken on this node; choose another hostPort",
                permanent=True,
            )
        return number

    def _free(self, port: Port) -> int:
        for _ in range(ATTEMPTS):
            number = _bind(0, port.protocol)
            if number and not self._is_given(number, besides=""):
                return number
        raise RuntimeFailure(FailureReason.PORT_TAKEN, "no free port is left on this node")

    def _is_given(self, number: int, *, besides: str) -> bool:
        return any(
            number in numbers and name != besides and self._is_held(name)
            for name, numbers in self._given.items()
        )


def lowest_port() -> int:
    """Return the first port that needs no privilege."""
    try:
        return int(_FLOOR.read_text())
    except OSError:
        return 1024


def _bind(number: int, protocol: str) -> int | None:
    """Return the port if it could be bound just now (0: any), None when it is taken."""
    datagram = protocol == "UDP"
    kind = socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if not datagram:
            # Otherwise the closed connections of a previous run would count as taken.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return None
            raise
        return int(probe.getsockname()[1])

"""On which ports a node serves HTTP and HTTPS: those of browsers when they can be had."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterable
from pathlib import Path

logger = logging.getLogger(__name__)

_HTTP, _HTTPS = (80, *range(8080, 8090)), (443, *range(8443, 8453))


def choose(remembered: Path, asked: tuple[int, int]) -> tuple[int, int]:
    """Return the ports for HTTP and HTTPS: those asked for (0: any), else those of before.

    A restart keeps its ports, though the Caddy of the agent before may just be letting go of them.
    """
    try:
        before = [int(number) for number in json.loads(remembered.read_text())]
    except (OSError, ValueError, TypeError):
        before = []
    http, https = before if len(before) == 2 else (0, 0)
    chosen = (
        asked[0] or http or _first_free(_HTTP),
        asked[1] or https or _first_free(_HTTPS),
    )
    if list(chosen) != before:
        remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remembered.write_text(json.dumps(chosen))
    return chosen


def _first_free(numbers: Iterable[int]) -> int:
    for number in numbers:
        # All addresses of both versions, as Caddy listens on them.
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                probe.bind(("::", number))
            except OSError as error:
                logger.info("Port %s cannot be had: %s", number, error)
            else:
                return number
    return 0

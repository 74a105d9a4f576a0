"""Let a bridge give a replica back what it sent to itself through a service.

With `bridge-nf-call-iptables` such a packet gets its new destination while it is still on the
bridge, which sends nothing out where it came in unless that port is in hairpin mode (the kubelet
sets it too). The port is the replica's own, made and removed with its container.
"""

from __future__ import annotations

import json
import logging
import socket
from typing import Any

from worker.gateway.programs import call

logger = logging.getLogger(__name__)

CALL_SECONDS = 5.0
_DISCARD = 9


def allow(address: str) -> bool:
    """Set the mode on the port behind which an address is; return whether that was found."""
    _poke(address)
    for neighbour in _asked("ip", "-j", "neigh", "show", "to", address):
        hardware, bridge = neighbour.get("lladdr"), str(neighbour.get("dev", ""))
        for entry in _asked("bridge", "-j", "fdb", "show", "br", bridge) if hardware else ():
            if entry.get("mac") == hardware:
                return _run("bridge", "link", "set", "dev", entry["ifname"], "hairpin", "on") == ""
    return False


def _poke(address: str) -> None:
    """Send one datagram, so that the kernel finds out behind which port the address is."""
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(kind, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (address, _DISCARD))
    except OSError as error:
        logger.debug("%s cannot be reached: %s", address, error)


def _asked(*words: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(_run(*words) or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []


def _run(*words: str) -> str:
    """Return what a program of iproute2 says, errors included."""
    try:
        result = call(*words, seconds=CALL_SECONDS)
    except OSError as error:
        return str(error)
    return result.stderr if result.returncode else result.stdout

"""`node token`: the command that makes another machine a node, ready to be copied."""

from __future__ import annotations

import argparse
import ipaddress
import socket
import sys
import urllib.parse

from orchestrator.cli.client import Client, Refused

CONNECT_SECONDS = 2
# An address for documentation (RFC 5737): asking for the way there sends nothing.
ELSEWHERE = ("192.0.2.1", 9)


def token(client: Client, options: argparse.Namespace) -> int:
    """Make a token that lets one machine join within ten minutes, and print the command for it."""
    address = options.address or _reachable(client.server)
    made = client.call("POST", "nodes/join-tokens/")
    sys.stdout.write(f"python3 manage.py node join {address} --token {made['token']}\n")
    sys.stderr.write("run it on the machine that is to join, once, within ten minutes\n")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument(
        "--address", metavar="URL", help="how the other machine reaches this control plane"
    )


def _reachable(server: str) -> str:
    """Return the address others can use: the server's, or this machine's in place of loopback.

    Raises:
        Refused: the control plane listens on loopback alone, or nothing is known to reach it by.
    """
    parts = urllib.parse.urlsplit(server)
    if not _is_loopback(parts.hostname or ""):
        return server
    own, port = _own_address(), parts.port or 80
    if own is None:
        raise Refused("this machine has no address that others reach; name it with --address URL")
    try:
        socket.create_connection((own, port), CONNECT_SECONDS).close()
    except OSError:
        raise Refused(
            f"the control plane does not listen on {own}:{port}, only on {parts.hostname}, where "
            "no other machine reaches it; start it with `manage.py up --host 0.0.0.0`, or name the "
            "address others use with --address URL"
        ) from None
    return f"{parts.scheme}://{own}:{port}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _own_address() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(ELSEWHERE)
        except OSError:
            return None
        return str(probe.getsockname()[0])

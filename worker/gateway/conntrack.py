"""The kernel's list of connections: which lead to a replica, and letting go of datagrams."""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Collection, Iterable

from worker.gateway.live import Target
from worker.gateway.programs import call
from worker.gateway.rules import Flow

logger = logging.getLogger(__name__)

CALL_SECONDS = 10.0
# Connections in which nothing is to come any more.
_OVER = frozenset({"TIME_WAIT", "CLOSE", "LAST_ACK"})
# The second pair of addresses is the answer's: from whom, when rules have sent it there.
_LINE = re.compile(
    r"tcp\s+\d+\s+\d+\s+(?P<state>[A-Z_0-9]+)\ssrc=.*?"
    r"\ssrc=(?P<address>\S+)\sdst=\S+\ssport=(?P<port>\d+)\s"
)
# To whom the first packet was sent, and who answers it.
_BOTH = re.compile(
    r"\sdst=(?P<address>\S+)\ssport=\d+\sdport=(?P<port>\d+)\b.*?"
    r"\ssrc=(?P<end>\S+)\sdst=\S+\ssport=(?P<end_port>\d+)\s"
)
_NEW = {"tcp": ("--state", "SYN_SENT")}


def is_installed() -> bool:
    """Tell whether there is the program that reads the list."""
    return shutil.which("conntrack") is not None


def busy(targets: Iterable[Target]) -> frozenset[str]:
    """Return the replicas that connections lead to which were sent there by rules of the kernel."""
    wanted = {(target.address, target.port): target.replica for target in targets}
    if not wanted or not is_installed():
        return frozenset()
    found: set[str] = set()
    for version in {"ipv6" if ":" in address else "ipv4" for address, _ in wanted}:
        text = _run("-L", "-f", version, "-p", "tcp", "--dst-nat")
        found |= {wanted[end] for end in _ends(text) if end in wanted}
    return frozenset(found)


def _ends(text: str) -> Iterable[tuple[str, int]]:
    for line in text.splitlines():
        seen = _LINE.match(line)
        if seen is not None and seen["state"] not in _OVER:
            yield seen["address"], int(seen["port"])


def forget(flows: Collection[Flow]) -> None:
    """Have the next packet of each flow drawn anew: nobody listens where they went.

    Of connections only those that nobody has accepted yet: they are tried again within a second,
    while those that are established have to end where they are. To look through the kernel's list
    takes milliseconds, so that is done once for all flows; few of them are in it.
    """
    if not is_installed():
        return
    kinds = {(flow.protocol, "ipv6" if ":" in flow.target else "ipv4") for flow in flows}
    for protocol, family in sorted(kinds):
        of_kind = ["-f", family, "-p", protocol, *_NEW.get(protocol, ())]
        there = _flows(_run("-L", *of_kind, "--dst-nat"))
        for flow in sorted(there.intersection(flows)):
            words = [*of_kind, "--orig-port-dst", str(flow.port)]
            words += ["--reply-src", flow.target, "--reply-port-src", str(flow.target_port)]
            _run("-D", *words, *(["--orig-dst", flow.address] if flow.address else []))


def _flows(text: str) -> set[Flow]:
    """Return what is in a list, each also as one of a node port, which any address may have."""
    found = set()
    for line in text.splitlines():
        if (seen := _BOTH.search(line)) is not None:
            protocol = line.partition(" ")[0]
            end = (seen["end"], int(seen["end_port"]))
            for address in (seen["address"], ""):
                found.add(Flow(protocol, address, int(seen["port"]), *end))
    return found


def _run(*words: str) -> str:
    try:
        result = call("conntrack", *words, seconds=CALL_SECONDS)
    except OSError as error:
        logger.warning("The list of connections cannot be read: %s", error)
        return ""
    # It ends with 1 when it found nothing, which is no error.
    if result.returncode > 1 or "Operation failed" in result.stderr:
        logger.warning("The list of connections cannot be read: %s", result.stderr.strip())
    return result.stdout

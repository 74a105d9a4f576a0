"""Let connections that were sent on by rules pass Docker's firewall, in the chain it leaves to us.

Docker drops what is forwarded to its containers unless it published the port itself; no other
table can overrule that. `DOCKER-USER` is the chain it reserves for such exceptions, and this one
rule in it is all that we write outside our own table: what comes in by a rule somebody made for it
(`ctstate DNAT`) may pass. It is removed with the table.
"""

from __future__ import annotations

import logging
import shutil

from worker.gateway.programs import call

logger = logging.getLogger(__name__)

CHAIN = "DOCKER-USER"
CALL_SECONDS = 10.0


class Permit:
    """The rule of one table; `ensure` puts it back whenever Docker has begun anew."""

    def __init__(self, table: str) -> None:
        comment = ["-m", "comment", "--comment", table]
        self._rule = [*comment, "-m", "conntrack", "--ctstate", "DNAT", "-j", "ACCEPT"]

    def ensure(self) -> str:
        """Have the rule where Docker's chain exists; return what is wrong, in one sentence."""
        if shutil.which("iptables") is None or _iptables("-n", "-L", CHAIN):
            return ""
        if not _iptables("-C", CHAIN, *self._rule):
            return ""
        if said := _iptables("-I", CHAIN, *self._rule):
            return f"Docker's firewall drops what comes from other machines: {said}"
        return ""

    def remove(self) -> None:
        """Take the rule away, however often it is there."""
        if shutil.which("iptables") is None:
            return
        while not _iptables("-D", CHAIN, *self._rule):
            logger.info("The permit in %s is removed", CHAIN)


def _iptables(*words: str) -> str:
    """Return what it complains of; empty when it did as told."""
    try:
        result = call("iptables", "-w", "5", *words, seconds=CALL_SECONDS)
    except OSError as error:
        return str(error)
    return (result.stderr.strip() or "iptables failed") if result.returncode else ""

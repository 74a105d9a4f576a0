"""Hand rules to the kernel: one table of our own for each node, in one transaction each time."""

from __future__ import annotations

import logging
import os
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from worker.gateway import kernel_look, nft_library, ruleset
from worker.gateway.programs import call
from worker.gateway.rules import Fragment, digest
from worker.labels import Owner

logger = logging.getLogger(__name__)

CALL_SECONDS = 30.0
# Larger ones take long and much memory, which a program gives back.
_FEW_CHARACTERS = 20_000
# Without it packets between two containers on a bridge never come by the rules of the node.
_BRIDGES = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class CannotRoute(Exception):
    """The kernel did not take our rules; the message says why, for a person."""


def table_name(owner: Owner) -> str:
    """Return the table of one node of one cluster: several of both may share a machine."""
    node = re.sub(r"[^a-z0-9]", "_", owner.node.lower())[:40]
    return f"kijabi_{node}_{digest(owner.cluster, owner.node)}"


def why_unusable() -> str:
    """Return why no rules can be made here, one sentence; empty when they can."""
    if shutil.which("nft") is None:
        return "there is no `nft` here: install the package nftables"
    if os.geteuid() != 0:
        return "rules of the kernel need root"
    name = f"kijabi_try_{os.getpid()}"
    try:
        _run(f"table inet {name}\ndelete table inet {name}\n")
    except CannotRoute as problem:
        return str(problem)
    return ""


class KernelTable:
    """One table; it exists from the first `put` that has something in it until `remove`."""

    def __init__(self, owner: Owner) -> None:
        self.name = table_name(owner)
        self._parts = ruleset.Parts()
        self._fragments: dict[str, Fragment] = {}
        self._links: tuple[str, ...] = ()
        self._is_known = False

    def put(self, fragments: Mapping[str, Fragment]) -> None:
        """Make the table hold these fragments; one that is the same object costs nothing.

        Raises:
            CannotRoute: the kernel refused; what was in force still is.
        """
        if not self._is_known or self._links != blind_links():
            self._put_whole(fragments)
            return
        old, new = self._fragments, fragments
        gone = [f for name, f in old.items() if new.get(name) is not f]
        come = [f for name, f in new.items() if old.get(name) is not f]
        if not gone and not come:
            return
        text = ruleset.change(self.name, self._parts.exchange(gone, come))
        # Until the kernel has taken it we know neither the old state nor the new.
        self._is_known = False
        try:
            _run(text)
        except CannotRoute as problem:
            logger.warning("The rules are made anew, as a change was refused: %s", problem)
            self._put_whole(fragments)
            return
        self._fragments, self._is_known = dict(fragments), True

    def is_there(self) -> bool:
        """Tell whether the table is in the kernel; somebody may have flushed all rules."""
        try:
            found = kernel_look.has_table(self.name)
        except OSError as error:
            logger.warning("The kernel cannot be asked about our rules: %s", error)
            return True
        self._is_known = self._is_known and found
        return found

    def remove(self) -> None:
        """Take the table out of the kernel, whoever made it.

        Raises:
            CannotRoute: the kernel refused.
        """
        _run(ruleset.removal(self.name))
        self._is_known = False

    def _put_whole(self, fragments: Mapping[str, Fragment]) -> None:
        links = blind_links()
        _run(ruleset.whole(self.name, fragments.values(), links=links))
        self._parts = ruleset.Parts()
        self._parts.exchange((), fragments.values())
        self._fragments, self._links, self._is_known = dict(fragments), links, True


def sees_bridges() -> bool:
    """Tell whether packets between containers of one bridge come by the rules of the node."""
    try:
        return _BRIDGES.read_text().strip() == "1"
    except OSError:
        return False


def blind_links() -> tuple[str, ...]:
    """Return the links on which an answer may not pass by the rules of the node.

    These are the bridges, where packets between containers do not come by; another link among them
    does no harm.
    """
    if sees_bridges():
        return ()
    names = (name for _, name in socket.if_nameindex())
    return tuple(sorted(name for name in names if name != "lo" and not name.startswith("veth")))


def _run(text: str) -> None:
    if not text:
        return
    said = _said(text)
    if said:
        problem = said.strip().splitlines()[0].rpartition("Error: ")[2]
        raise CannotRoute(f"the kernel refuses rules: {problem[:200]}")


def _said(text: str) -> str:
    """Hand a text to nftables; return what went wrong, empty for nothing."""
    library = nft_library.load() if len(text) < _FEW_CHARACTERS else None
    if library is not None:
        return library(text)
    try:
        result = call("nft", "-f", "-", seconds=CALL_SECONDS, text=text)
    except OSError as error:
        raise CannotRoute(f"nft could not be run: {error}") from error
    return (result.stderr.strip() or "it said nothing") if result.returncode else ""

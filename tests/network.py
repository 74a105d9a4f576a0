"""Machines of their own on one kernel: network namespaces on a bridge, which can be cut off.

Needs root. Everything goes when the network is closed, and also when the process that made it is
killed: a shell waits for the end of its input, which comes in either case, and then cleans up.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

# For tests of networks (RFC 2544), so nobody has anything there.
SUBNETS = "198.18"
_CLEAN = """
while read -r line; do rest="$rest$line; "; done
for space in $(ip netns list | cut -d' ' -f1 | grep "^$1-"); do
  ip netns pids "$space" | xargs -r kill -9
  ip netns del "$space"
  # A connection that nobody answers keeps the namespace, and so the cable, for minutes.
  ip link del "$1.${space##*-}" 2>/dev/null
done
ip link del "$1"
eval "$rest"
"""
_RULES = """
table inet cut {{
  chain hears {{ type filter hook input priority 0; {hears} }}
  chain says {{ type filter hook output priority 0; {says} }}
}}
"""
_NOTHING = "iifname != lo drop;", "oifname != lo drop;"


def why_missing() -> str:
    """Return why there can be no network here; empty when there can."""
    if os.geteuid() != 0:
        return "only root may make network namespaces"
    try:
        subprocess.run(["ip", "netns", "list"], check=True, capture_output=True)
        subprocess.run(["unshare", "--net", "nft", "list", "ruleset"], check=True)
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        return f"network namespaces or nftables do not work here ({error})"
    return ""


@dataclass
class Network:
    """A bridge with an address of this machine's, and the machines on it."""

    cleaner: subprocess.Popen[str]
    name: str
    subnet: str = field(default_factory=lambda: f"{SUBNETS}.{secrets.randbelow(256)}")
    machines: int = 0

    @property
    def address(self) -> str:
        """Return this machine's own address there."""
        return f"{self.subnet}.1"

    def at_end(self, command: str) -> None:
        """Have the shell do this as well when everything else is gone."""
        assert self.cleaner.stdin is not None
        self.cleaner.stdin.write(f"{command}\n")
        self.cleaner.stdin.flush()

    def add(self) -> Machine:
        """Plug in another machine."""
        self.machines += 1
        number = self.machines
        space, link = f"{self.name}-{number}", f"{self.name}.{number}"
        _ip("netns", "add", space)
        _ip("link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", link, "master", self.name, "up")
        _ip("-n", space, "link", "set", "lo", "up")
        _ip("-n", space, "address", "add", f"{self.subnet}.{number + 1}/24", "dev", "eth0")
        _ip("-n", space, "link", "set", "eth0", "up")
        return Machine(space=space, link=link)


@dataclass(frozen=True)
class Machine:
    """One network namespace; `link` is the end of its cable in the bridge."""

    space: str
    link: str

    def words(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs there, and ends with the process that started it."""
        # Not `ip netns exec`: it mounts another /sys, which hides control groups.
        enter = ["nsenter", f"--net=/run/netns/{self.space}", "--"]
        return ["setpriv", "--pdeathsig", "KILL", "--", *enter, *command]

    def unplug(self) -> None:
        """Pull the cable."""
        _ip("link", "set", self.link, "down")

    def be_deaf(self) -> None:
        """Let nothing in: what the machine says is heard."""
        self._filter(hears=_NOTHING[0])

    def be_mute(self) -> None:
        """Let nothing out: the machine hears everything."""
        self._filter(says=_NOTHING[1])

    def lose(self, percent: int) -> None:
        """Lose so many packets of a hundred in each direction."""
        lost = f"numgen random mod 100 < {percent} drop;"
        self._filter(hears=lost, says=lost)

    def heal(self) -> None:
        """Be connected as if nothing had been."""
        _ip("link", "set", self.link, "up")
        self._nft("add table inet cut; delete table inet cut")

    def _filter(self, *, hears: str = "", says: str = "") -> None:
        self._nft(_RULES.format(hears=hears, says=says))

    def _nft(self, text: str) -> None:
        enter = ["nsenter", f"--net=/run/netns/{self.space}", "--"]
        subprocess.run([*enter, "nft", "-f", "-"], input=text, text=True, check=True)


@contextmanager
def network() -> Iterator[Network]:
    """Yield a network without machines; it is gone afterwards, with every process on it."""
    name = f"kj{secrets.token_hex(3)}"
    words = ["sh", "-c", _CLEAN, "cleaner", name]
    cleaner = subprocess.Popen(words, stdin=subprocess.PIPE, text=True, start_new_session=True)
    made = Network(cleaner, name)
    try:
        _ip("link", "add", made.name, "type", "bridge")
        _ip("address", "add", f"{made.address}/24", "dev", made.name)
        _ip("link", "set", made.name, "up")
        yield made
    finally:
        cleaner.communicate(timeout=30)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

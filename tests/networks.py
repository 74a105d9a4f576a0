"""Networks of kernel namespaces: a node with containers on a bridge, and a machine outside.

A function runs inside one on a thread of its own, with the sockets and programs it begins there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

Answer = TypeVar("Answer")
NODE, OUTSIDE = "node", "outside"
GATEWAY, NODE_ADDRESS, OUTSIDE_ADDRESS = "10.5.0.1", "10.6.0.1", "10.6.0.2"
_NEW_NET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def why_missing() -> str:
    """Return why no such network can be made; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("nft", "ip", "conntrack") if shutil.which(name) is None]
    return f"there is no {', '.join(missing)} (nftables, iproute2, conntrack)" if missing else ""


class Network:
    """Namespaces by name; `containers` have 10.5.0.2, .3, … and fd05::2, … on the node's bridge."""

    def __init__(self, containers: int = 3) -> None:
        self._prefix = f"kjt{os.getpid()}-{threading.get_ident() % 9973}-"
        self.containers = [f"c{number}" for number in range(2, 2 + containers)]
        self._stop = threading.Event()

    def address(self, container: str) -> str:
        """Return a container's address."""
        return f"10.5.0.{container[1:]}"

    def inside(self, name: str, act: Callable[[], Answer]) -> Answer:
        """Run a function in a namespace and return what it returns."""
        answers: list[Answer] = []
        faults: list[BaseException] = []

        def run() -> None:
            try:
                self._enter(name)
                answers.append(act())
            except BaseException as fault:  # noqa: BLE001, told to whoever asked
                faults.append(fault)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if faults:
            raise faults[0]
        return answers[0]

    def enter(self, name: str) -> None:
        """Go into a namespace for good, with this thread and all it begins from now on."""
        self._enter(name)

    def serve(self, name: str, port: int = 8080, *, datagrams: bool = False) -> None:
        """Answer every connection (or datagram) in a namespace with its name and the client's."""
        ready = threading.Event()
        work = _datagrams if datagrams else _connections

        def run() -> None:
            self._enter(name)
            work(name, port, ready, self._stop)

        threading.Thread(target=run, daemon=True).start()
        assert ready.wait(5)

    def call(self, client: str, host: str, port: int, *, datagram: bool = False) -> str:
        """Return what a server answers a client; the name of the error when there is none."""
        return self.inside(client, lambda: ask(host, port, datagram=datagram))

    def build(self) -> None:
        """Make everything."""
        for name in (NODE, OUTSIDE, *self.containers):
            _ip("netns", "add", self._prefix + name)
            # Addresses are usable at once: nobody else can have them here.
            self._switch(name, "ipv6/conf/default/accept_dad", "0")
            self._ip(name, "link", "set", "lo", "up")
        self._ip(NODE, "link", "add", "br0", "type", "bridge")
        self._address(NODE, "br0", f"{GATEWAY}/24", "fd05::1/64")
        for number, name in enumerate(self.containers):
            self._join(name, "eth0", NODE, f"v{number}")
            self._ip(NODE, "link", "set", f"v{number}", "master", "br0", "up")
            end = name[1:]
            self._address(name, "eth0", f"10.5.0.{end}/24", f"fd05::{end}/64")
            self._route(name, GATEWAY, "fd05::1")
        self._join(OUTSIDE, "eth0", NODE, "eth0")
        self._address(NODE, "eth0", f"{NODE_ADDRESS}/24", "fd06::1/64")
        self._address(OUTSIDE, "eth0", f"{OUTSIDE_ADDRESS}/24", "fd06::2/64")
        self._route(OUTSIDE, NODE_ADDRESS, "fd06::1")
        self._route(NODE, OUTSIDE_ADDRESS, "fd06::2")
        for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            self._switch(NODE, switch, "1")

    def close(self) -> None:
        """Take everything down."""
        self._stop.set()
        for name in (NODE, OUTSIDE, *self.containers):
            subprocess.run(["ip", "netns", "delete", self._prefix + name], check=False)

    def _switch(self, name: str, switch: str, value: str) -> None:
        self.inside(name, lambda: Path("/proc/sys/net", switch).write_text(value))

    def _enter(self, name: str) -> None:
        with Path("/run/netns", self._prefix + name).open() as place:
            if _libc.setns(place.fileno(), _NEW_NET):
                raise OSError(ctypes.get_errno(), "setns")

    def _join(self, left: str, left_end: str, right: str, right_end: str) -> None:
        peer = ["peer", "name", right_end, "netns", self._prefix + right]
        self._ip(left, "link", "add", left_end, "type", "veth", *peer)

    def _address(self, name: str, end: str, *addresses: str) -> None:
        for address in addresses:
            self._ip(name, "addr", "add", address, "dev", end, *(["nodad"] * (":" in address)))
        self._ip(name, "link", "set", end, "up")

    def _route(self, name: str, *gateways: str) -> None:
        for gateway in gateways:
            self._ip(name, "route", "add", "default", "via", gateway)

    def _ip(self, name: str, *words: str) -> None:
        six = ["-6"] if words[0] == "route" and ":" in words[-1] else []
        _ip("-n", self._prefix + name, *six, *words)


@contextmanager
def network(containers: int = 3) -> Iterator[Network]:
    """Make a network and take it down."""
    made = Network(containers)
    try:
        made.build()
        yield made
    finally:
        made.close()


def ask(host: str, port: int, *, datagram: bool = False) -> str:
    """Return what a server says, or the name of the error."""
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM) as client:
        client.settimeout(2)
        try:
            client.connect((host, port))
            if datagram:
                client.send(b"?")
            return client.recv(100).decode()
        except OSError as error:
            return type(error).__name__


def _connections(name: str, port: int, ready: threading.Event, stop: threading.Event) -> None:
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        server.settimeout(0.1)
        ready.set()
        while not stop.is_set():
            with suppress(TimeoutError):
                client, (address, *_) = server.accept()
                threading.Thread(
                    target=_answer, args=(client, f"{name} {_plain(address)}"), daemon=True
                ).start()


def _answer(client: socket.socket, text: str) -> None:
    with client, suppress(OSError):
        client.sendall(text.encode())
        client.settimeout(10)
        while client.recv(100):
            client.sendall(text.encode())


def _datagrams(name: str, port: int, ready: threading.Event, stop: threading.Event) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", port))
        server.settimeout(0.1)
        ready.set()
        while not stop.is_set():
            with suppress(TimeoutError):
                _, (address, number) = server.recvfrom(100)
                server.sendto(f"{name} {address}".encode(), (address, number))


def _plain(address: str) -> str:
    return address.removeprefix("::ffff:")


def _ip(*words: str) -> None:
    for attempt in range(20):
        done = subprocess.run(["ip", *words], check=False, capture_output=True, text=True)
        if not done.returncode:
            return
        if "Device or resource busy" not in done.stderr:
            break
        time.sleep(0.05 * attempt)
    raise AssertionError(f"ip {' '.join(words)}: {done.stderr}")

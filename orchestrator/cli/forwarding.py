"""`port-forward`: a port of this machine leads to a port of a replica, wherever it runs."""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from contextlib import closing, suppress
from dataclasses import dataclass

from orchestrator.cli import kinds
from orchestrator.cli.client import Client, Refused, Tunnel

CHUNK_BYTES = 64 * 1024
HIGHEST_PORT = 65535
_USUAL = ("replicas", "deployments", "services")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A port here (0: any free one) and the port of the replica it leads to."""

    here: int
    there: int


class Target:
    """What was named: a replica, or whatever leads to some; another replica when one is gone."""

    def __init__(self, client: Client, words: str, namespace: str) -> None:
        kind, self._name = kinds.reference([words], allowed=_USUAL)
        self._client, self._namespace = client, namespace
        self._kind = kind if "/" in words else ""

    def replica(self) -> str:
        """Return a replica to connect to, a ready one if there is any.

        Raises:
            Refused: there is none.
        """
        if self._kind == "replicas":
            return self._name
        found = self._behind_service() if self._kind == "services" else self._of_deployment()
        if not found and not self._kind:
            # A bare word that is no deployment is the name of a replica.
            return self._name
        if not found:
            word = kinds.word(self._kind)
            raise Refused(f"{word}/{self._name} has no replica that runs; `get replicas` says why")
        return found[0]

    def _of_deployment(self) -> list[str]:
        path = f"namespaces/{self._namespace}/deployments/{self._name}/replicas/"
        try:
            rows = list(self._client.pages(path, {}))
        except Refused as refusal:
            if refusal.status == 404 and not self._kind:
                return []
            raise
        running = [row for row in rows if row["phase"] == "running"]
        return [row["uid"] for row in sorted(running, key=lambda row: not row["ready"])]

    def _behind_service(self) -> list[str]:
        query = {"namespace": self._namespace, "search": self._name}
        rows = self._client.pages("routes/", query)
        endpoints = [
            one for row in rows if row["service"] == self._name for one in row["endpoints"]
        ]
        return [one["replica"] for one in endpoints if one["standing"] == "serving"]


def forward(client: Client, options: argparse.Namespace) -> int:
    """Forward ports of this machine to a replica until Ctrl-C."""
    target = Target(client, options.name, options.namespace)
    pairs = [_pair(text) for text in options.ports]
    uid = target.replica()
    listeners = [(_listen(options.address, pair.here), pair) for pair in pairs]
    for listener, pair in listeners:
        host, port = listener.getsockname()[:2]
        _say(f"Forwarding from {host}:{port} -> {pair.there} of replica {uid}")
        threading.Thread(
            target=_accept, args=(client, target, listener, pair.there), daemon=True
        ).start()
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    for listener, _ in listeners:
        listener.close()
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `port-forward` takes."""
    parser.add_argument("name", metavar="NAME", help="a deployment, service/NAME or replica/UID")
    parser.add_argument("ports", nargs="+", metavar="[LOCAL:]PORT", help="8080:80, 80 or :80")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("--address", default="127.0.0.1", help="where to listen")


def _pair(text: str) -> Pair:
    here, colon, there = text.rpartition(":")
    words = (here or "0", there) if colon else (there, there)
    if not all(word.isdecimal() and int(word) <= HIGHEST_PORT for word in words) or not int(there):
        raise Refused(f"{text!r} is not a pair of ports; write 8080:80, 80 or :80")
    return Pair(here=int(words[0]), there=int(words[1]))


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family)
    except OSError as error:
        raise Refused(
            f"cannot listen on {address}:{port} ({error.strerror or error}); "
            f"name another port, as in :{port or 80}"
        ) from None


def _accept(client: Client, target: Target, listener: socket.socket, port: int) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            # It was closed: we are ending.
            return
        threading.Thread(
            target=_serve, args=(client, target, connection, port), daemon=True
        ).start()


def _serve(client: Client, target: Target, connection: socket.socket, port: int) -> None:
    with connection:
        try:
            uid = target.replica()
            with closing(client.tunnel(uid, port)) as tunnel:
                sender = threading.Thread(target=_send, args=(tunnel, connection), daemon=True)
                sender.start()
                while piece := tunnel.read(CHUNK_BYTES):
                    connection.sendall(piece)
                # What the replica has said is all; what is still sent to it has no reader.
                connection.shutdown(socket.SHUT_RDWR)
                sender.join()
        except Refused as refusal:
            _say(f"kijabi: {refusal}", error=True)
        except OSError:
            # Whoever connected here has hung up.
            return


def _send(tunnel: Tunnel, connection: socket.socket) -> None:
    try:
        while piece := connection.recv(CHUNK_BYTES):
            tunnel.send(piece)
        tunnel.send(b"", is_end=True)
    except (Refused, OSError):
        # The other direction hears of it, too.
        return


def _say(text: str, *, error: bool = False) -> None:
    stream = sys.stderr if error else sys.stdout
    stream.write(f"{text}\n")
    stream.flush()

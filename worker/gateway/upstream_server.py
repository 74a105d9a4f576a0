"""`python -m worker.gateway.upstream_server PORT FOLDER`: say who serves a route, and where.

The HTTP gateway asks who serves a route many times a second, and with each connection it opens what
address is in the name of an end. Its requests wait for the answers, so they come from a
program that does nothing else and goes on while no agent runs. It knows nothing by itself: routes
are in files (see `upstream_files`), and the name of an end says its address.
"""

from __future__ import annotations

import ipaddress
import logging
import selectors
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from worker.gateway import upstream_files
from worker.gateway.end_names import address_of, is_route

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
# RFC 1035, 4.1: number, flags, and how many questions, answers, authorities and others there are.
_HEAD = struct.Struct("!HHHHHH")
_ANSWER, _AUTHORITATIVE, _ASKED_TO_RECUR, _RECURS, _NO_SUCH_NAME = 0x8000, 0x0400, 0x0100, 0x80, 3
_TRUNCATED, _FAILED = 0x0200, 2
_KIND_AND_CLASS = struct.Struct("!HH")
# The name is the one that stands right after the head; then kind, class, life and length.
_RECORD = struct.Struct("!HHHIH")
# RFC 2782: priority, weight and port; then the name of who serves.
_SERVER = struct.Struct("!HHH")
_LENGTH = struct.Struct("!H")
_NAME_OF_QUESTION = 0xC000 | _HEAD.size
_INTERNET, _LIFE_SECONDS = 1, 2
_ADDRESSES, _SERVERS = {1: 4, 28: 6}, 33
_BYTES, _BACKLOG, _BACKLOG_BYTES = 1232, 4096, 1 << 20
# A question is shorter; so many a turn keep others waiting for no longer than milliseconds.
_LONGEST = 1024
# Caddy has one or few at a time. Where others have as many, who came first has to go.
MOST_CONNECTIONS = 256
_AT_ONCE = struct.pack("ii", 1, 0)


def answer(question: bytes, folder: Path, most: int = 0xFFFF) -> bytes | None:
    """Return the answer to a question, of so many bytes at most; None if it is no question."""
    try:
        number, flags, count, *_ = _HEAD.unpack_from(question)
        name, end = _name(question)
        kind, _ = _KIND_AND_CLASS.unpack_from(question, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    if count != 1 or flags & _ANSWER:
        return None
    records, code = _records(name, kind, folder)
    said = _ANSWER | _AUTHORITATIVE | _RECURS | flags & _ASKED_TO_RECUR | code
    asked = question[_HEAD.size : end + _KIND_AND_CLASS.size]
    text = b"".join(records)
    if _HEAD.size + len(asked) + len(text) > most:
        return _HEAD.pack(number, said | _TRUNCATED, 1, 0, 0, 0) + asked
    return _HEAD.pack(number, said, 1, len(records), 0, 0) + asked + text


def _name(question: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where it ends."""
    labels, at = [], _HEAD.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def _records(name: str, kind: int, folder: Path) -> tuple[list[bytes], int]:
    if is_route(name):
        return _servers(name, kind, folder)
    try:
        address = ipaddress.ip_address(address_of(name) or "")
    except ValueError:
        return [], _NO_SUCH_NAME
    if _ADDRESSES.get(kind) != address.version:
        return [], 0
    return [_record(kind, address.packed)], 0


def _servers(name: str, kind: int, folder: Path) -> tuple[list[bytes], int]:
    try:
        ends = upstream_files.read(folder, name)
    except (OSError, ValueError):
        logger.exception("It cannot be read who serves %s", name)
        return [], _FAILED
    if ends is None:
        return [], _NO_SUCH_NAME
    asked = ends if kind == _SERVERS else []
    return [_record(kind, _SERVER.pack(0, 1, port) + _wire(end)) for port, end in asked], 0


def _record(kind: int, data: bytes) -> bytes:
    return _RECORD.pack(_NAME_OF_QUESTION, kind, _INTERNET, _LIFE_SECONDS, len(data)) + data


def _wire(name: str) -> bytes:
    labels = (label.encode() for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


class Server:
    """Answers datagrams and streams on one port, all in one thread."""

    def __init__(self, port: int, folder: Path) -> None:
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._heard: dict[socket.socket, bytes] = {}
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BACKLOG_BYTES)
        datagrams.bind((LOOPBACK, port))
        self._selector.register(datagrams, selectors.EVENT_READ, self._datagram)
        streams = socket.create_server((LOOPBACK, port), backlog=_BACKLOG)
        self._selector.register(streams, selectors.EVENT_READ, self._stream)

    def run(self) -> None:
        """Answer until we are ended."""
        while True:
            for key, _ in self._selector.select():
                try:
                    key.data(key.fileobj)
                except Exception:
                    # Nobody who asks may end it for all others.
                    logger.exception("A question was not answered")

    def _datagram(self, datagrams: socket.socket) -> None:
        question, asker = datagrams.recvfrom(_BYTES)
        if (said := answer(question, self._folder, _BYTES)) is not None:
            datagrams.sendto(said, asker)

    def _stream(self, streams: socket.socket) -> None:
        if len(self._heard) >= MOST_CONNECTIONS:
            self._leave(next(iter(self._heard)))
        connection, _ = streams.accept()
        connection.settimeout(0)
        self._heard[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ, self._question)

    def _question(self, connection: socket.socket) -> None:
        """Take what came; whoever has closed is answered no more."""
        if connection not in self._heard:
            return  # it had to go for another in this very turn
        with suppress(OSError):
            # Errors: it has reset the connection, or asks without taking answers.
            chunk = connection.recv(_LONGEST)
            self._heard[connection] += chunk
            if chunk and self._answered(connection):
                return
        self._leave(connection)

    def _answered(self, connection: socket.socket) -> bool:
        """Answer what has come as a whole; return False for what is no question."""
        heard = self._heard[connection]
        while len(heard) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(heard)[0]
            if len(heard) < end:
                break
            said = answer(heard[_LENGTH.size : end], self._folder)
            if said is None:
                return False
            connection.sendall(_LENGTH.pack(len(said)) + said)
            heard = heard[end:]
        self._heard[connection] = heard
        return len(heard) < _LONGEST

    def _leave(self, connection: socket.socket) -> None:
        """End a connection without a trace.

        Whoever closes first keeps the port for a minute (TIME_WAIT), and some hundred questions a
        second would use up all ports there are; a reset ends that (socket(7), SO_LINGER).
        """
        self._selector.unregister(connection)
        del self._heard[connection]
        with suppress(OSError):  # reset by the other side already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
        connection.close()


def main() -> None:
    """Answer until we are ended."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s")
    Server(int(sys.argv[1]), Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()

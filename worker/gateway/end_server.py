"""`python -m worker.gateway.end_server PORT`: say what address is in the name of an end.

The HTTP gateway asks with each connection that it opens, so this goes on while no agent runs. A
name says its address by itself: nothing is known here, and nothing can be out of date.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys

from worker.gateway.live import LOOPBACK
from worker.gateway.upstreams import address_of

# RFC 1035, 4.1: number, flags, and how many questions, answers, authorities and others there are.
_HEAD = struct.Struct("!HHHHHH")
_ANSWER, _AUTHORITATIVE, _ASKED_TO_RECUR, _RECURS, _NO_SUCH_NAME = 0x8000, 0x0400, 0x0100, 0x80, 3
_KIND_AND_CLASS = struct.Struct("!HH")
# The name is the one that stands right after the head; then kind, class, life and length.
_RECORD = struct.Struct("!HHHIH")
_NAME_OF_QUESTION = 0xC000 | _HEAD.size
_INTERNET, _LIFE_SECONDS = 1, 2
_KINDS = {1: 4, 28: 6}
_BYTES, _BACKLOG_BYTES = 1232, 1 << 20


def answer(question: bytes) -> bytes | None:
    """Return the answer to a question; None when it cannot be understood."""
    try:
        number, flags, count, *_ = _HEAD.unpack_from(question)
        name, end = _name(question)
        kind, _ = _KIND_AND_CLASS.unpack_from(question, end)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None
    if count != 1 or flags & _ANSWER:
        return None
    record, code = _record(name, kind)
    said = _ANSWER | _AUTHORITATIVE | _RECURS | flags & _ASKED_TO_RECUR | code
    head = _HEAD.pack(number, said, 1, 1 if record else 0, 0, 0)
    return head + question[_HEAD.size : end + _KIND_AND_CLASS.size] + record


def _name(question: bytes) -> tuple[str, int]:
    """Return the name that is asked for, and where it ends."""
    labels, at = [], _HEAD.size
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    return ".".join(labels).lower(), at + 1


def _record(name: str, kind: int) -> tuple[bytes, int]:
    try:
        address = ipaddress.ip_address(address_of(name) or "")
    except ValueError:
        return b"", _NO_SUCH_NAME
    if _KINDS.get(kind) != address.version:
        return b"", 0
    packed = address.packed
    record = _RECORD.pack(_NAME_OF_QUESTION, kind, _INTERNET, _LIFE_SECONDS, len(packed))
    return record + packed, 0


def main() -> None:
    """Answer until we are ended."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BACKLOG_BYTES)
        server.bind((LOOPBACK, int(sys.argv[1])))
        while True:
            question, asker = server.recvfrom(_BYTES)
            if (said := answer(question)) is not None:
                server.sendto(said, asker)


if __name__ == "__main__":
    main()

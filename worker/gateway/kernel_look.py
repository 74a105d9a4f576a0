"""Ask the kernel whether a table is there: one small message, where `nft` would read all rules."""

from __future__ import annotations

import errno
import os
import socket
import struct

_NETFILTER = 12
_GET_TABLE = (10 << 8) | 1
_REQUEST = 1
_ERROR = 2
_INET = 1
_NAME = 1
_HEADER = struct.Struct("=IHHII")
_CODE = struct.Struct("=i")
TIMEOUT_SECONDS = 2.0


def has_table(name: str) -> bool:
    """Tell whether this network namespace has the inet table of that name.

    Raises:
        OSError: the kernel cannot be asked.
    """
    text = name.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(text), _NAME) + text
    attribute += b"\0" * (-len(attribute) % 4)
    body = struct.pack("=BBH", _INET, 0, 0) + attribute
    message = _HEADER.pack(_HEADER.size + len(body), _GET_TABLE, _REQUEST, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER) as ask:
        ask.settimeout(TIMEOUT_SECONDS)
        ask.bind((0, 0))
        ask.send(message)
        answer = ask.recv(8192)
    kind = _HEADER.unpack_from(answer)[1]
    if kind != _ERROR:
        return True
    code = -_CODE.unpack_from(answer, _HEADER.size)[0]
    if code in {errno.ENOENT, 0}:
        return False
    raise OSError(code, os.strerror(code))

"""A small name server: our own names from memory, everything else from the node's own resolvers.

Answers live for a few seconds and are not kept by anybody, so that names follow changes at once.
It listens where containers of this node reach it, and on nothing that faces other machines.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from worker.gateway import names
from worker.gateway.live import LiveService
from worker.gateway.streams import LoopThread

logger = logging.getLogger(__name__)

TTL_SECONDS = 2
RESOLVER_PORT = 53
UPSTREAM_SECONDS = 4.0
DATAGRAM_BYTES = 1232
RESOLVERS = Path("/etc/resolv.conf")
_LENGTH = struct.Struct("!H")
_AT_ONCE = struct.pack("ii", 1, 0)
_VERSIONS = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 6}


class NameServer:
    """Answers on one address, by datagrams and streams, from a thread of its own.

    `avoided` is our own address as containers know it: asking it would be asking ourselves.
    """

    def __init__(self, address: str, *, port: int = 0, avoided: str = "") -> None:
        self.address = address
        self.port = port
        self._avoided = avoided
        self._services: Mapping[str, LiveService] = {}
        self._thread = LoopThread("dns")
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing: list[Any] = []

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address or port cannot be had.
        """
        self._thread.do(self._listen())

    def close(self) -> None:
        """Listen no more."""
        self._thread.do(self._end())
        self._thread.close()

    def know_services(self, services: Mapping[str, LiveService]) -> None:
        """Answer for these services from now on."""
        self._services = services

    def answer(self, question: bytes) -> bytes | None:
        """Return the answer to a question about our names; None when others are to answer."""
        return _answer(question, self._services)

    async def _listen(self) -> None:
        loop = self._thread.loop
        server = await loop.create_server(lambda: _Stream(self), self.address, self.port)
        self._closing.append(server)
        self.port = server.sockets[0].getsockname()[1]
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), (self.address, self.port)
        )
        self._closing.append(transport)

    async def _end(self) -> None:
        for part in self._closing:
            part.close()

    def received(self, question: bytes, sender: Any, transport: asyncio.DatagramTransport) -> None:
        """Answer a datagram, now or when others have answered."""
        own = self.answer(question)
        if own is not None:
            transport.sendto(own if len(own) <= DATAGRAM_BYTES else _cut(own), sender)
            return

        async def forward() -> None:
            transport.sendto(await self._ask_others(question, stream=False), sender)

        self._do(forward())

    def asked(self, question: bytes, transport: asyncio.Transport) -> None:
        """Answer a question of a stream, now or when others have answered."""
        own = self.answer(question)
        if own is not None:
            transport.write(_LENGTH.pack(len(own)) + own)
            return

        async def forward() -> None:
            text = await self._ask_others(question, stream=True)
            transport.write(_LENGTH.pack(len(text)) + text)

        self._do(forward())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._thread.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_others(self, question: bytes, *, stream: bool) -> bytes:
        """Return what the node's own resolvers say; that we failed when none says anything."""
        for address in node_resolvers(self._avoided):
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                async with asyncio.timeout(UPSTREAM_SECONDS):
                    if stream:
                        return await _ask_stream(address, question)
                    return await _ask_datagram(self._thread.loop, address, question)
        return _refusal(question)


class _Stream(asyncio.Protocol):
    """One connection with questions.

    It ends without a trace once its asker has closed it: whoever closes first keeps the port for a
    minute (TIME_WAIT), and askers in a hurry would use up all there are; a reset ends that
    (socket(7), SO_LINGER).
    """

    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._said += data
        while len(self._said) >= _LENGTH.size and self._transport is not None:
            end = _LENGTH.size + _LENGTH.unpack_from(self._said)[0]
            if len(self._said) < end:
                return
            question, self._said = self._said[_LENGTH.size : end], self._said[end:]
            self._server.asked(question, self._transport)

    def eof_received(self) -> None:
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._transport is not None:
            self._server.received(data, addr, self._transport)


class _OneAnswer(asyncio.DatagramProtocol):
    def __init__(self, answer: asyncio.Future[bytes]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, addr: Any) -> None:
        del addr
        if not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


async def _ask_datagram(loop: asyncio.AbstractEventLoop, address: str, question: bytes) -> bytes:
    answer: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _OneAnswer(answer), remote_addr=(address, RESOLVER_PORT)
    )
    try:
        transport.sendto(question)
        return await answer
    finally:
        transport.close()


async def _ask_stream(address: str, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(address, RESOLVER_PORT)
    try:
        writer.write(_LENGTH.pack(len(question)) + question)
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        return await reader.readexactly(length)
    finally:
        writer.close()


def node_resolvers(avoided: str = "") -> list[str]:
    """Return the resolvers of this node, as its own programs would ask them."""
    servers = (words[1] for words in _lines() if words[0] == "nameserver")
    return [server for server in servers if server != avoided]


def node_searches() -> tuple[str, ...]:
    """Return what this node's own programs append to short names."""
    return tuple(word for words in _lines() if words[0] == "search" for word in words[1:])


def _lines() -> list[list[str]]:
    try:
        lines = RESOLVERS.read_text().splitlines()
    except OSError:
        return []
    return [words for line in lines if len(words := line.split()) > 1]


def _answer(question: bytes, services: Mapping[str, LiveService]) -> bytes | None:
    try:
        message = dns.message.from_wire(question)
        (asked,) = message.question
    except (dns.exception.DNSException, ValueError):
        return None
    name = asked.name.to_text(omit_final_dot=True).lower()
    found = names.look_up(name, services)
    if found is None:
        return None
    answer = dns.message.make_response(message, recursion_available=True)
    answer.flags |= dns.flags.AA
    if found == names.NOTHING:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    texts = _texts(found, asked.rdtype)
    if texts:
        answer.answer.append(
            dns.rrset.from_text_list(asked.name, TTL_SECONDS, "IN", asked.rdtype, texts)
        )
    return answer.to_wire(max_size=65535)


def _texts(found: names.Found, kind: dns.rdatatype.RdataType) -> list[str]:
    if kind in _VERSIONS:
        return names.of_family(found.addresses, _VERSIONS[kind])
    if kind == dns.rdatatype.SRV:
        return [f"0 1 {port} {name}." for port, name in found.servers]
    return []


def _cut(answer: bytes) -> bytes:
    """Return an answer that says: too long for a datagram, ask again by a stream."""
    message = dns.message.from_wire(answer)
    message.answer.clear()
    message.flags |= dns.flags.TC
    return message.to_wire()


def _refusal(question: bytes) -> bytes:
    try:
        answer = dns.message.make_response(dns.message.from_wire(question))
    except dns.exception.DNSException:
        return question[:2]
    answer.set_rcode(dns.rcode.SERVFAIL)
    return answer.to_wire()

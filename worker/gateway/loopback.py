"""Node ports for clients on the node's own loopback (`localhost:30080`), carried by this process.

The kernel sends nothing from 127.0.0.1 to another interface unless `route_localnet` opens the
loopback of the whole node to its containers. So these few connections end here and go on to the
service's address, where the kernel picks an endpoint. Only TCP; only while the agent runs.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping

from worker.gateway.streams import LoopThread, carry

logger = logging.getLogger(__name__)

Address = tuple[str, int]
_HOSTS = (("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6))


class Loopback:
    """Listens on the ports it is given; `taken` names those that another program has."""

    def __init__(self) -> None:
        self.taken: tuple[int, ...] = ()
        self._ends: dict[int, Address] = {}
        self._servers: dict[int, list[asyncio.Server]] = {}
        self._thread: LoopThread | None = None

    def serve(self, ends: Mapping[int, Address]) -> None:
        """Listen on these ports and no others; each leads to an address of a service."""
        self._ends = dict(ends)
        if self._thread is None and ends:
            self._thread = LoopThread("loopback")
        if self._thread is not None and (set(ends) != set(self._servers) or self.taken):
            self._thread.do(self._listen(set(ends)))

    def close(self) -> None:
        """Listen no more, and end the connections."""
        if self._thread is not None:
            self._thread.do(self._listen(set()))
            self._thread.close()
            self._thread = None

    async def _listen(self, ports: set[int]) -> None:
        for port in set(self._servers) - ports:
            for server in self._servers.pop(port):
                server.close()
        for port in ports - {p for p, servers in self._servers.items() if servers}:
            self._servers[port] = await self._open(port)
        self.taken = tuple(sorted(p for p, servers in self._servers.items() if not servers))

    async def _open(self, port: int) -> list[asyncio.Server]:
        servers = []
        for host, kind in _HOSTS:
            try:
                # Several nodes of one machine have the same ports and lead to the same services.
                server = await asyncio.start_server(
                    lambda r, w: self._carry(port, r, w), host, port, family=kind, reuse_port=True
                )
            except OSError as error:
                if kind == socket.AF_INET:
                    logger.warning("Node port %s is taken on the loopback: %s", port, error)
                    return []
                continue
            servers.append(server)
        return servers

    async def _carry(
        self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        end = self._ends.get(port)
        try:
            if end is not None:
                await carry(reader, writer, end)
        except (OSError, TimeoutError) as error:
            logger.debug("A connection to node port %s ended: %s", port, error)
        finally:
            writer.close()

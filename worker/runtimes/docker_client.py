"""Connect to the engine with its SDK, whose sockets are closed also where a connection fails.

The SDK leaves a Unix socket that could not connect to the garbage collector: while an engine is
away every try would keep one open for a while.
"""

from __future__ import annotations

import socket
from typing import Any

import docker
from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)

# The oldest interface that offers all we use; Podman offers it, too.
VERSION = "1.41"
_SCHEME = "http+docker://"


def client(url: str, *, timeout: float | None, pools: int = 1) -> Any:
    """Return a client of an engine; nothing is asked yet. None waits for answers for ever.

    Any: the stubs lack the parts used for what the SDK has no call for, and say int for times.
    """
    seconds: Any = timeout
    made: Any = docker.APIClient(base_url=url, version=VERSION, timeout=seconds, num_pools=pools)
    if url.startswith("unix://"):
        path = "http+" + url
        made.mount(_SCHEME, _Adapter(path, seconds, pool_connections=pools))
    return made


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> Any:
        seconds: Any = self.timeout
        return _Connection(self.base_url, self.socket_path, seconds)


class _Adapter(UnixHTTPAdapter):
    def get_connection(self, url: Any, proxies: Any = None) -> Any:
        del proxies
        with self.pools.lock:
            pool = self.pools.get(url)
            if pool is None:
                pool = _Pool(url, self.socket_path, self.timeout, maxsize=self.max_pool_size)
                self.pools[url] = pool
        return pool

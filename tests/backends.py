"""Web servers to route to, and clients that count what went wrong."""

from __future__ import annotations

import http.client
import http.server
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from worker.routes import Certificate

SLOW_SECONDS = 1.0


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    # A crowd comes at once.
    request_queue_size = 512
    connections = 0
    _counting = threading.Lock()

    def process_request(self, *request: Any) -> None:
        self._count(1)
        super().process_request(*request)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._count(-1)

    def _count(self, number: int) -> None:
        # Each connection ends in a thread of its own.
        with self._counting:
            self.connections += number


class Backend:
    """A server that answers with its name; `/slow` takes a second, an upgrade begins an echo."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.requests = 0
        self._came = threading.Event()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def connections(self) -> int:
        """Return how many are open."""
        return self._server.connections

    def await_request(self) -> None:
        """Return once a request has come."""
        assert self._came.wait(5)

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def _handler(backend) -> type[http.server.BaseHTTPRequestHandler]:  # noqa: N805, one in one
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                backend.requests += 1
                backend._came.set()
                if self.headers.get("Upgrade"):
                    self._echo()
                    return
                if self.path.startswith("/slow"):
                    time.sleep(SLOW_SECONDS)
                text = f"{backend.name}\n".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def _echo(self) -> None:
                self.send_response(101)
                self.send_header("Connection", "Upgrade")
                self.send_header("Upgrade", "websocket")
                self.end_headers()
                self.close_connection = True
                while data := self.connection.recv(100):
                    self.connection.sendall(data)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def running(*names: str) -> Iterator[list[Backend]]:
    """Run servers of these names."""
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Backend(name))) for name in names]


@dataclass
class Load:
    """What clients that never try again have seen."""

    answers: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def load(port: int, host: str, *, clients: int = 8) -> Iterator[Load]:
    """Send requests at a fixed pace, half of the clients over connections they keep."""
    seen, stop = Load(), threading.Event()
    threads = [
        threading.Thread(target=_client, args=(seen, stop, port, host, number % 2 == 0))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _client(seen: Load, stop: threading.Event, port: int, host: str, keeps: bool) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    while not stop.wait(0.01):
        try:
            client.request("GET", "/", headers={"Host": host})
            answer = client.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            seen.failures.append(repr(error))
            client.close()
            continue
        if answer.status == 200:
            seen.answers += 1
        else:
            seen.failures.append(str(answer.status))
        if not keeps:
            client.close()
    client.close()


@contextmanager
def websocket(port: int, host: str) -> Iterator[Callable[[bytes], bytes]]:
    """Open one; the function sends bytes and returns those that come back."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        lines = ["GET / HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket"]
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        assert head.startswith(b"HTTP/1.1 101"), head

        def talk(data: bytes) -> bytes:
            client.sendall(data)
            back = b""
            # It comes in as many pieces as the gateway likes.
            while len(back) < len(data) and (piece := client.recv(100)):
                back += piece
            return back

        yield talk


def get_tls(port: int, host: str) -> tuple[str, str]:
    """Return the protocol agreed on and the answer, whoever signed the certificate."""
    words = ["curl", "-sk", "--resolve", f"{host}:{port}:127.0.0.1", "-w", "%{http_version}"]
    url = f"https://{host}:{port}/"
    for _ in range(50):
        done = subprocess.run([*words, url], check=False, capture_output=True, text=True)
        if done.returncode == 0:
            text, _, version = done.stdout.rpartition("\n")
            return f"h{version}", text
        time.sleep(0.1)
    raise AssertionError(f"{url}: curl ended with {done.returncode}")


def broken_certificate() -> Certificate:
    """Return one that nobody can read."""
    return Certificate(hosts=("a.example",), chain="no chain", key="no key")

"""A server on loopback that answers with what a test lays out, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Api:
    """Answers in order; the last one again and again."""

    answers: list[tuple[int, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def next_answer(self) -> tuple[int, Any]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def api(monkeypatch, tmp_path) -> Iterator[Api]:
    made = Api()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            made.asked.append(Asked(self.command, self.path, dict(self.headers), body))
            status, value = made.next_answer()
            # A list stands for lines that are written already.
            lines = isinstance(value, list)
            text = (
                "".join(f"{v}\n" for v in value).encode() if lines else json.dumps(value).encode()
            )
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # noqa: N815, names http.server looks for

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("KIJABI_SERVER", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("KIJABI_TOKEN", "secret")
        monkeypatch.setenv("KIJABI_HOME", str(tmp_path))
        yield made
        server.shutdown()
        thread.join()

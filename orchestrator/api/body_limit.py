"""Refuse bodies that are too large before they are read: Django would first write them to disk."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Receive, Send], Awaitable[None]]


class BodyLimit:
    """An ASGI application around another that never sees more than so many bytes of a body."""

    def __init__(self, application: Application, *, most: int) -> None:
        self._application = application
        self._most = most

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 413."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        stated = dict(scope["headers"]).get(b"content-length", b"")
        if stated.isdigit() and int(stated[:18]) > self._most:
            await self._refuse(scope["path"], send)
            return
        arrived = 0

        async def receive_counted() -> Message:
            nonlocal arrived
            message = await receive()
            arrived += len(message.get("body", b""))
            # Told that the client left, Django closes what it has read so far and answers nothing.
            return message if arrived <= self._most else {"type": "http.disconnect"}

        await self._application(scope, receive_counted, send)
        if arrived > self._most:
            await self._refuse(scope["path"], send)

    async def _refuse(self, path: str, send: Send) -> None:
        body = {
            "type": "about:blank",
            "title": "Request Entity Too Large",
            "status": 413,
            "detail": f"the body has more than {self._most:,} bytes",
            "instance": path,
        }
        headers = [(b"content-type", b"application/problem+json"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})

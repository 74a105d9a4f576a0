"""Bodies as a server gets them: in pieces, without a length, and without an end."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterable, Iterator

import pytest
from asgiref.sync import async_to_sync
from rest_framework.test import APIClient

from orchestrator.asgi import application
from orchestrator.models import Deployment
from tests.cluster import manifest

CHUNKED = [(b"transfer-encoding", b"chunked")]


def ask(
    api: APIClient, pieces: Iterable[bytes], headers: list[tuple[bytes, bytes]]
) -> tuple[int, dict]:
    """Post pieces of a body to apply through the ASGI application; return status and answer."""
    token = api._credentials["HTTP_AUTHORIZATION"].encode()
    given = [(b"authorization", token), (b"content-type", b"application/yaml"), *headers]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/apply/",
        "query_string": b"",
        "headers": given,
    }
    left: Iterator[bytes | None] = itertools.chain(pieces, [None])
    sent: list[dict] = []

    async def receive() -> dict:
        for piece in left:
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict) -> None:
        sent.append(message)

    async_to_sync(application)(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], json.loads(body)


@pytest.mark.usefixtures("transactional_db")
def test_a_body_without_a_stated_length_is_read(api: APIClient):
    text = manifest().encode()

    status, answer = ask(api, [text[:50], text[50:]], CHUNKED)

    assert (status, answer["results"][0]["action"]) == (200, "created")
    assert Deployment.objects.count() == 1


@pytest.mark.usefixtures("transactional_db")
def test_a_body_without_an_end_is_refused(api: APIClient):
    pieces = itertools.repeat(b"#" * 65536)

    status, problem = ask(api, pieces, CHUNKED)

    assert (status, problem["status"]) == (413, 413)
    assert next(pieces), "the rest was never read"


@pytest.mark.usefixtures("transactional_db")
def test_a_body_that_states_to_be_too_large_is_not_read_at_all(api: APIClient):
    def pieces() -> Iterable[bytes]:
        raise AssertionError("it was read")
        yield b""

    status, problem = ask(api, pieces(), [(b"content-length", b"1048577")])

    assert status == 413
    assert "1,048,576 bytes" in problem["detail"]

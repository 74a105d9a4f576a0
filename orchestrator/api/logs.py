"""A replica's log as plain text; asynchronous, so that a follower costs no thread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework import exceptions

from orchestrator.api.bodies import is_asked, number_of
from orchestrator.api.errors import plain_response
from orchestrator.api.views import checked
from orchestrator.operations.answer_stream import Entries
from orchestrator.operations.connections import borrowed
from orchestrator.operations.log_reader import LogReader
from orchestrator.operations.replicas import ReplicaNotFound
from orchestrator.queries import replicas as queries
from orchestrator.queries.replicas import LogSource

MOST_LINES = 100_000
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants to read."""

    source: LogSource
    tail: int | None
    follow: bool
    previous: bool


async def logs(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Return the latest lines (`?tail=`), those to come (`?follow=true`), or the previous run's."""
    try:
        wish = await borrowed(_wish, request, uid)
        if wish.previous or not wish.source.is_live:
            return _kept(wish)
        return await _live(wish)
    except Exception as error:  # noqa: BLE001, this view has no other exception handler
        return plain_response(error, request)


def _wish(plain: HttpRequest, uid: str) -> Wish:
    """Check who asks and for what."""
    request = checked(plain, {"GET", "HEAD"})
    if "\x00" in uid:
        raise ReplicaNotFound("?")
    tail = request.query_params.get("tail", "200")
    lines = None if tail == "all" else number_of(tail, "tail", at_most=MOST_LINES)
    source = queries.log_source(uid)
    if source is None:
        raise ReplicaNotFound(uid)
    return Wish(
        source=source,
        tail=lines,
        follow=is_asked(request, "follow"),
        previous=is_asked(request, "previous"),
    )


def _kept(wish: Wish) -> HttpResponse:
    source, tail = wish.source, wish.tail
    if source.died_at is None:
        raise exceptions.NotFound(f"no earlier run of replica {source.uid} is known")
    lines = source.kept.splitlines()
    shown = lines if tail is None else lines[-tail:] if tail else []
    return HttpResponse("".join(f"{line}\n" for line in shown), content_type=TEXT)


async def _live(wish: Wish) -> HttpResponseBase:
    reader = LogReader(wish.source, tail=wish.tail, follow=wish.follow)
    first = await reader.begin()
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingHttpResponse(_text(reader, first), content_type=TEXT, headers=headers)


async def _text(reader: LogReader, first: Entries) -> AsyncIterator[bytes]:
    async for line in reader.lines(first):
        yield line.text.encode() + b"\n"

"""A replica's log as plain text; asynchronous, so that a follower costs no thread."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio as redis
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.utils import timezone
from redis.exceptions import RedisError

from orchestrator.api.errors import CONTENT_TYPE, problem
from orchestrator.api.permissions import may
from orchestrator.operations import accounts, log_requests
from orchestrator.operations.accounts import Role
from orchestrator.queries import records
from orchestrator.queries.records import LogSource

TRUE = {"1", "true", "yes"}
FIRST_ANSWER_MS = 5000
BLOCK_MS = 3000
WANTED_SECONDS = 10
TEXT = "text/plain; charset=utf-8"
Entries = list[tuple[bytes, dict[bytes, bytes]]]


async def logs(request: HttpRequest, uid: str) -> HttpResponseBase:
    """Return the latest lines (`?tail=`), those to come (`?follow=true`), or the previous run's."""
    refusal, source, tail = await sync_to_async(_prepare)(request, uid)
    if refusal is not None or source is None:
        return refusal or _refuse(404, "Not found", f'replica "{uid}" does not exist')
    previous = request.GET.get("previous", "").lower() in TRUE
    if previous or not source.is_live:
        return _kept(source, tail)
    return await _live(source, tail, follow=request.GET.get("follow", "").lower() in TRUE)


def _prepare(
    request: HttpRequest, uid: str
) -> tuple[HttpResponse | None, LogSource | None, int | None]:
    """Check who asks and for what; the database connection is given back before any waiting."""
    try:
        if request.method != "GET":
            return _refuse(405, "Method not allowed", "a log can only be read"), None, None
        if not may(_user(request), Role.VIEWER):
            refusal = _refuse(401, "Unauthorized", "log in, or send a valid API token")
            refusal["WWW-Authenticate"] = "Bearer"
            return refusal, None, None
        tail = request.GET.get("tail", "200")
        if not tail.isdigit() and tail != "all":
            detail = f"tail={tail[:20]!r} is neither a number nor all"
            return _refuse(400, "Bad request", detail), None, None
        return None, records.log_source(uid), None if tail == "all" else int(tail)
    finally:
        connections.close_all()


def _user(request: HttpRequest) -> Any:
    word, _, token = request.headers.get("Authorization", "").partition(" ")
    if word.lower() == "bearer":
        found = accounts.user_of_token(token.strip(), now=timezone.now())
        if found is not None:
            return found
    return request.user


def _kept(source: LogSource, tail: int | None) -> HttpResponse:
    if source.died_at is None:
        return _refuse(404, "Not found", f"no earlier run of replica {source.uid} is known")
    lines = source.kept.splitlines()
    shown = lines if tail is None else lines[-tail:] if tail else []
    return HttpResponse("".join(f"{line}\n" for line in shown), content_type=TEXT)


async def _live(source: LogSource, tail: int | None, *, follow: bool) -> HttpResponseBase:
    asked = uuid.uuid4().hex
    connection = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=10)
    try:
        if follow:
            await connection.set(f"logs:{asked}:wanted", "1", ex=WANTED_SECONDS)
        sent = await sync_to_async(log_requests.send)(
            source.node, asked, source.uid, tail=tail, follow=follow
        )
        first = await _read(connection, asked, "0", FIRST_ANSWER_MS) if sent else None
    except (RedisError, OSError):
        sent, first = False, None
    if not sent:
        await connection.aclose()
        return _refuse(503, "The broker does not answer", "logs of running replicas need it")
    if not first and not follow:
        await connection.aclose()
        detail = f"node {source.node} did not answer within {FIRST_ANSWER_MS // 1000} s"
        return _refuse(504, "The node does not answer", detail)
    lines = _stream(connection, asked, first or [], follow=follow)
    return StreamingHttpResponse(lines, content_type=TEXT, headers={"X-Accel-Buffering": "no"})


async def _stream(
    connection: Any, asked: str, entries: Entries, *, follow: bool
) -> AsyncIterator[bytes]:
    latest = "0"
    try:
        while True:
            for identity, fields in entries:
                latest = identity.decode()
                if b"end" in fields:
                    if error := fields.get(b"error"):
                        yield b"kijabi: " + error + b"\n"
                    return
                yield fields[b"text"] + b"\n"
            if follow:
                await connection.set(f"logs:{asked}:wanted", "1", ex=WANTED_SECONDS)
            entries = await _read(connection, asked, latest, BLOCK_MS)
            if not entries and not follow:
                return
    except (RedisError, OSError):
        yield b"kijabi: the broker does not answer any more; the log ends here\n"
    finally:
        await connection.delete(f"logs:{asked}:wanted")
        await connection.aclose()


async def _read(connection: Any, asked: str, latest: str, wait_ms: int) -> Entries:
    found = await connection.xread({f"logs:{asked}": latest}, count=500, block=wait_ms)
    return list(found[0][1]) if found else []


def _refuse(status: int, title: str, detail: str) -> HttpResponse:
    return JsonResponse(problem(status, title, detail), status=status, content_type=CONTENT_TYPE)

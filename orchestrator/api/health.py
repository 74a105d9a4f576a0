"""Is the process alive, and can it work?"""

from __future__ import annotations

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse


def alive(request: HttpRequest) -> JsonResponse:
    """Answer that the process lives."""
    del request
    return JsonResponse({"status": "ok"})


def ready(request: HttpRequest) -> JsonResponse:
    """Answer whether requests can be served: the database answers and is migrated.

    A broker that is down is told, but is no reason to send people away: reads work, and writes
    are kept and acted on later.
    """
    del request
    state = {"database": _database(), "broker": _broker()}
    ok = state["database"] == "ok"
    state["status"] = "ok" if ok else "unavailable"
    return JsonResponse(state, status=200 if ok else 503)


def _database() -> str:
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        return f"does not answer: {error}".strip()
    return f"{len(pending)} migrations are missing" if pending else "ok"


def _broker() -> str:
    try:
        redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1).ping()
    except (redis.RedisError, OSError):
        return "does not answer; changes are kept and sent later"
    return "ok"

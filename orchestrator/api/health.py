"""Is the process alive, and can it work? Open to everybody, so the answers name no addresses."""

from __future__ import annotations

import logging
from functools import cache

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse

logger = logging.getLogger(__name__)


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
        missing = _wanted_migrations() - set(MigrationRecorder(connection).applied_migrations())
    except DatabaseError:
        logger.warning("The database does not answer", exc_info=True)
        return "does not answer"
    return f"{len(missing)} migrations are missing" if missing else "ok"


@cache
def _wanted_migrations() -> frozenset[tuple[str, str]]:
    """Return the latest migration of each app; the code on disk does not change while it runs."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def _broker() -> str:
    try:
        with redis.Redis.from_url(
            settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1
        ) as broker:
            broker.ping()
    except (redis.RedisError, OSError):
        return "does not answer; changes are kept and sent later"
    return "ok"

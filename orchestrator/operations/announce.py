"""Tell open pages what changed: topic names only, over Redis Pub/Sub, after the commit.

A lost announcement costs a page nothing but time: it reads everything anew whenever its stream
begins again, and every few seconds while there is none.
"""

from __future__ import annotations

import json
import logging
import time
from functools import cache, partial

import redis
from django.conf import settings
from django.db import transaction

from orchestrator.celery import app

logger = logging.getLogger(__name__)

CHANNEL = "kijabi:changes"
REBALANCE = "rebalance"
# A broker that is away must not slow every change down: it is asked again after a while.
SULK_SECONDS = 3.0
_silent_until = [0.0]


def deployment_topic(namespace: str, name: str) -> str:
    """Return the topic of everything about one deployment."""
    return f"deployment/{namespace}/{name}"


def autoscaler_topic(namespace: str, name: str) -> str:
    """Return the topic of everything about one autoscaler."""
    return f"autoscaler/{namespace}/{name}"


def node_topic(name: str) -> str:
    """Return the topic of everything about one node."""
    return f"node/{name}"


def changed(*topics: str) -> None:
    """Announce topics once the surrounding transaction is committed (at once if there is none)."""
    if topics and not app.conf.task_always_eager:
        transaction.on_commit(partial(_announce, topics))


def _announce(topics: tuple[str, ...]) -> None:
    if time.monotonic() < _silent_until[0]:
        return
    try:
        _client().publish(CHANNEL, json.dumps(topics))
    except (redis.RedisError, OSError) as error:
        _silent_until[0] = time.monotonic() + SULK_SECONDS
        logger.info("Open pages could not be told of a change: %s", error)


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, socket_keepalive=True
    )

"""What is wrong with the control plane itself, in sentences for every page."""

from __future__ import annotations

import time

import redis
from django.conf import settings
from django.utils.translation import gettext as _

from orchestrator.celery import app

ASKED_EVERY_SECONDS = 2.0
_answer: list[tuple[float, bool]] = []


def present() -> list[str]:
    """Return a sentence for each thing that is wrong now; empty when all is well."""
    if app.conf.task_always_eager or _broker_answers():
        return []
    return [
        _(
            "The broker does not answer: changes are kept and carried out when it is back, "
            "and this page asks for news by itself."
        )
    ]


def _broker_answers() -> bool:
    """Ask the broker; an answer counts for a moment, so that pages do not wait for it in turn."""
    now = time.monotonic()
    if _answer and now - _answer[0][0] < ASKED_EVERY_SECONDS:
        return _answer[0][1]
    client = redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=0.3, socket_connect_timeout=0.3
    )
    try:
        answers = bool(client.ping())
    except (redis.RedisError, OSError):
        answers = False
    finally:
        client.close()
    _answer[:] = [(now, answers)]
    return answers

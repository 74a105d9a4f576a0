"""The door of a Celery worker: what comes from the broker is made harmless before Celery sees it.

Whoever can write to a queue could else stop a worker for good: a message without a body, say,
fails inside the consumer, is put back into the queue, and fails again after the restart. The
headers are not signed either, so none of their powers (waiting, retrying, calling another task
afterwards) gets through: of a message only its id, its task and its keyword arguments are taken.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from kombu.transport import redis

from worker.envelope import LARGEST_BODY, Refusals, Refused

PREFIXES = ("worker.", "orchestrator.")
_JSON = "application/json"
refusals = Refusals()


class Channel(redis.Channel):
    """Survives a message that is no JSON."""

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[no-untyped-call]  # kombu has none
        except (ValueError, RecursionError):
            # It has left the queue, so it is gone; the connection is whole.
            refusals.note(Refused("malformed", "something in a queue is no message"))
            return True


class Transport(redis.Transport):
    """Hands on what is left of a message, or drops it."""

    Channel = Channel

    def _deliver(self, message: object, queue: str) -> None:
        try:
            harmless = sifted(message, queue)
        except Refused as refused:
            refusals.note(refused)
            return
        super()._deliver(harmless, queue)  # type: ignore[no-untyped-call]  # as above


def sifted(message: object, queue: str) -> dict[str, Any]:
    """Return a message of ours with nothing in it but what we put there.

    It names its queue: there it is put back if its worker dies before it is done.

    Raises:
        Refused: it is no task message of ours.
    """
    raw = message if isinstance(message, dict) else {}
    headers, properties = _object(raw.get("headers")), _object(raw.get("properties"))
    task, uid = _word(headers.get("task")), _word(headers.get("id"))
    if not task.startswith(PREFIXES):
        raise Refused("malformed", f"a message is for {task!r}, which is no task of ours")
    body = json.dumps([[], _keywords(raw.get("body"), properties), {}]).encode()
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": _JSON,
        "headers": {"lang": "py", "task": task, "id": uid, "root_id": uid, "argsrepr": ""},
        "properties": {
            "correlation_id": uid,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": _word(properties.get("delivery_tag")),
            "body_encoding": "base64",
            "priority": 0,
        },
    }


def _keywords(body: object, properties: dict[str, Any]) -> dict[str, Any]:
    if properties.get("body_encoding") != "base64" or not isinstance(body, str):
        raise Refused("malformed", "a message has no body")
    if len(body) > 2 * LARGEST_BODY:
        raise Refused("malformed", f"a message has {len(body)} characters")
    try:
        content = json.loads(base64.b64decode(body, validate=True))
    except (ValueError, RecursionError) as error:
        raise Refused("malformed", f"the body of a message cannot be read: {error}") from error
    if not isinstance(content, list) or len(content) != 3:
        raise Refused("malformed", "the body of a message is no list of three")
    return _object(content[1])


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refused("malformed", "a part of a message is missing")
    return value


def _word(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise Refused("malformed", "a message lacks its id, its task or its tag")
    return value

"""Count what passes do, for /metrics: kept at the broker, where every process can read it.

A pass only adds to numbers in memory; they are written now and then, in one message. Lost numbers
are lost: a counter that begins anew is what readers of such figures are used to.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import redis
from django.conf import settings

from worker import protocol

logger = logging.getLogger(__name__)

KEY = "kijabi:statistics"
FLUSH_SECONDS = 1.0
# Upper bounds in seconds, as readers of histograms expect them: each counts what is not longer.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

_lock = threading.Lock()
_pending: Counter[str] = Counter()
_seconds = [0.0]
_due = [0.0]


def note_pass(seconds: float, reasons: Iterable[str]) -> None:
    """Count a pass that took so long, and its actions by reason."""
    with _lock:
        _pending["passes"] += 1
        _seconds[0] += seconds
        for bound in BUCKETS:
            if seconds <= bound:
                _pending[f"pass:{bound:g}"] += 1
        for reason in reasons:
            _pending[f"action:{reason}"] += 1
    if time.monotonic() >= _due[0]:
        flush()


def flush() -> None:
    """Write what was counted since the last time."""
    with _lock:
        counted, seconds = dict(_pending), _seconds[0]
        _pending.clear()
        _seconds[0] = 0.0
        _due[0] = time.monotonic() + FLUSH_SECONDS
    if not counted:
        return
    try:
        with _client().pipeline(transaction=False) as pipe:
            for name, number in counted.items():
                pipe.hincrby(KEY, name, number)
            pipe.hincrbyfloat(KEY, "pass-seconds", seconds)
            pipe.execute()
    except (redis.RedisError, OSError) as error:
        logger.info("Statistics could not be written: %s", error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted since the broker began: actions by reason, and how long passes took.

    `buckets` are cumulative: the upper bound as text, and how many took no longer.
    """

    actions: Mapping[str, int]
    buckets: list[tuple[str, float]]
    seconds: float


def read(nodes: Sequence[str]) -> tuple[dict[str, int], Counted]:
    """Return how many messages wait in each queue, and what was counted.

    Raises:
        RedisError: the broker does not answer.
    """
    queues = [protocol.CONTROL_QUEUE, *(protocol.node_queue(node) for node in nodes)]
    with _client().pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.llen(queue)
        pipe.hgetall(KEY)
        *depths, kept = pipe.execute()
    numbers = {key.decode(): float(value) for key, value in kept.items()}
    prefix = "action:"
    bounds = [(f"{bound:g}", numbers.get(f"pass:{bound:g}", 0.0)) for bound in BUCKETS]
    return dict(zip(queues, depths, strict=True)), Counted(
        actions={
            k.removeprefix(prefix): int(v) for k, v in numbers.items() if k.startswith(prefix)
        },
        buckets=[*bounds, ("+Inf", numbers.get("passes", 0.0))],
        seconds=numbers.get("pass-seconds", 0.0),
    )


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5, socket_keepalive=True
    )

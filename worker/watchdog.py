"""End a worker that is deaf: messages wait in its queue, the broker answers, and it takes none.

Its supervisor starts it again. A broker that is down, or a control plane that says nothing, is
no reason to end.
"""

from __future__ import annotations

import logging
import os
import threading
import time

import redis

from worker.app import Node
from worker.protocol import node_queue

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
DEAF_AFTER_SECONDS = 15.0
EXIT_STATUS = 70


class Watchdog:
    """Compares the length of the queue with the time since a message was taken from it."""

    def __init__(self, node: Node, connection: redis.Redis) -> None:
        self._node = node
        self._connection = connection
        self._waiting_since: float | None = None

    def start(self) -> None:
        """Watch from a thread of its own."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    def is_deaf(self, now: float) -> bool:
        """Look once; `now` is monotonic seconds."""
        try:
            waiting = int(self._connection.llen(node_queue(self._node.config.node)))
        except redis.RedisError:
            waiting = 0
        if waiting == 0:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        silent_since = max(self._waiting_since, self._node.latest_message_at)
        return now - silent_since > DEAF_AFTER_SECONDS

    def _run(self) -> None:
        while True:
            time.sleep(CHECK_SECONDS)
            if self.is_deaf(time.monotonic()):
                logger.critical("Messages wait but none arrives: this worker is deaf and ends")
                os._exit(EXIT_STATUS)

"""Answer pings: a signed word under this node's own key at the broker, which costs little."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import redis

from worker.protocol import heard_key

logger = logging.getLogger(__name__)

# Long enough for a control plane that looks late, short enough to leave nothing behind.
KEPT_SECONDS = 60


class Pulse:
    """Writes the answers of one node; `sign` makes an envelope of a token."""

    def __init__(
        self,
        node: str,
        sign: Callable[[str], dict[str, str]],
        connect: Callable[[], redis.Redis],
    ) -> None:
        self._node = node
        self._sign = sign
        self._connect = connect
        self._connection: redis.Redis | None = None

    def answer(self, token: str) -> bool:
        """Answer a ping; return whether the broker took it. The next ping is another chance."""
        if self._connection is None:
            self._connection = self._connect()
        text = json.dumps(self._sign(token), separators=(",", ":"))
        try:
            self._connection.set(heard_key(self._node), text, ex=KEPT_SECONDS)
        except redis.RedisError as error:
            logger.warning("The broker did not take the answer to a ping: %s", error)
            return False
        return True

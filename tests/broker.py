"""A broker of its own for tests."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from orchestrator.launch import broker


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """Yield the address of a broker that nothing else uses, once it answers."""
    url, command = broker.prepare(folder)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis.from_url(url) as client:
                _await_answer(client)
            yield url
        finally:
            process.kill()


def _await_answer(client: redis.Redis) -> None:
    for _ in range(250):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the broker does not answer")

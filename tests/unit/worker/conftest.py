"""A node of pretended containers, and a real broker of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from orchestrator.launch import broker as embedded
from tests.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node whose agent works only when the test lets it."""
    return Machine(tmp_path)


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that nothing else uses."""
    url, command = embedded.prepare(tmp_path_factory.mktemp("broker"))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            with redis.Redis.from_url(url) as client:
                await_answer(client)
            yield url
        finally:
            process.kill()


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    """The broker, empty."""
    with redis.Redis.from_url(broker_url, decode_responses=True) as client:
        client.flushall()
        yield client


def await_answer(client: redis.Redis) -> None:
    """Wait until the broker is up."""
    for _ in range(250):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the broker does not answer")

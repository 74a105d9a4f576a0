"""A node of pretended containers, and a real broker of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests import broker as brokers
from tests.machine import Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A node whose agent works only when the test lets it."""
    return Machine(tmp_path)


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that nothing else uses."""
    with brokers.running(tmp_path_factory.mktemp("broker")) as url:
        yield url


@pytest.fixture
def broker(broker_url: str) -> Iterator[redis.Redis]:
    """The broker, empty."""
    with redis.Redis.from_url(broker_url, decode_responses=True) as client:
        client.flushall()
        yield client

"""Clients of an engine that is away keep nothing open."""

from __future__ import annotations

import gc
import warnings
from contextlib import closing
from pathlib import Path

import pytest
import requests

from worker.runtimes import docker_client


def test_a_connection_that_fails_leaves_no_socket(tmp_path: Path):
    with closing(docker_client.client(f"unix://{tmp_path / 'none.sock'}", timeout=1)) as client:
        for _ in range(3):
            with pytest.raises(requests.ConnectionError):
                client.ping()

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        gc.collect()

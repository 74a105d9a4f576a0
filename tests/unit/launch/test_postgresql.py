"""The tests' own PostgreSQL, in a real process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from orchestrator.launch import postgresql
from orchestrator.launch.environment import ROOT
from tests.conftest import require_or_skip

SERVE = """
import time
from orchestrator.launch import postgresql
with postgresql.private_server(postgresql.programs()) as url:
    print(url, flush=True)
    time.sleep(60)
"""


@pytest.mark.postgresql
def test_the_server_ends_with_a_process_that_is_told_to():
    if postgresql.programs() is None:
        require_or_skip("postgresql", "no server is installed here")
    with subprocess.Popen(
        [sys.executable, "-c", SERVE], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        url = urlsplit(process.stdout.readline().strip())

        with socket.create_connection((url.hostname, url.port), 5):
            process.terminate()
            status = process.wait(20)

    assert status == 128 + signal.SIGTERM
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((url.hostname, url.port), 5)

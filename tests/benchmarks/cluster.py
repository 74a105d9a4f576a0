"""The running `manage.py up` that a benchmark measures."""

from __future__ import annotations

import sys

from orchestrator.cli.client import Client, Refused
from orchestrator.home import state_folder


def connect() -> Client:
    """Return a client of it; end with a sentence when there is none."""
    client = Client(state_folder())
    try:
        client.call("GET", "nodes/")
    except Refused as error:
        sys.exit(f"this benchmark measures a running system: {error}")
    return client

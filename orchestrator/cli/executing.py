"""`exec`: run a command in a replica as if it ran here."""

from __future__ import annotations

import argparse
import json
import sys

from orchestrator.cli.client import Client, Refused

# As a shell, `timeout` and `docker exec` say it.
TIMED_OUT = 124
NOT_RUN = 125
ENDED = {"timed-out": TIMED_OUT, "cut": 137, "abandoned": 137}


def execute(client: Client, options: argparse.Namespace) -> int:
    """Run a command in a replica and end with its exit code."""
    body = {"command": options.words, "timeout_seconds": options.timeout}
    answer = client.objects(f"replicas/{options.name}/exec/", json.dumps(body).encode())
    for item in answer:
        if "outcome" in item:
            return _status(item)
        stream = sys.stderr if item["stream"] == "stderr" else sys.stdout
        stream.buffer.write(item["text"].encode(errors="replace"))
        stream.flush()
    raise Refused("the server went away before the command ended; it is being killed")


def split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what is ours, and the command: all after `--`, whatever it looks like."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what `exec` takes."""
    parser.usage = "manage.py exec [--timeout SECONDS] REPLICA -- COMMAND [ARGUMENT ...]"
    parser.add_argument("name", metavar="REPLICA")
    parser.add_argument("--timeout", type=int, default=60, help="seconds it may take, at most 600")


def _status(item: dict[str, object]) -> int:
    code = item["exit_code"]
    if isinstance(code, int):
        return code
    sys.stderr.write(f"kijabi: {item['message']}\n")
    return ENDED.get(str(item["outcome"]), NOT_RUN)

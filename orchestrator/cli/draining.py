"""`drain`: begin, then say what each replica waits for until the node is empty."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from orchestrator.cli.client import Client

PERIOD_SECONDS = 0.5


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a drain may be told."""
    parser.add_argument("name")
    parser.add_argument("--plan", action="store_true", help="only say what it would do")
    parser.add_argument("--no-wait", action="store_true", help="begin and return")
    parser.add_argument(
        "--deadline", type=int, metavar="SECONDS", help="then stop what is left; by default never"
    )


def drain(client: Client, options: argparse.Namespace) -> int:
    """Move everything off a node, replacements first; say how far it is until it is empty."""
    path = f"nodes/{options.name}/drain/"
    if options.plan:
        _tell(client.call("GET", path), {})
        return 0
    body = json.dumps({"deadline_seconds": options.deadline}).encode()
    row = client.call("POST", path, body=body)
    _say(options.name, "is being drained")
    said: dict[str, str] = {}
    while row["draining"] and not row["drained_at"] and not options.no_wait:
        _tell(row, said)
        time.sleep(PERIOD_SECONDS)
        row = client.call("GET", path)
    if row["drained_at"]:
        _say(options.name, "is empty; uncordon it to use it again")
    elif not row["draining"]:
        _say(options.name, "was uncordoned, so the drain has ended")
    return 0 if row["drained_at"] or options.no_wait else 1


def _tell(row: dict[str, Any], said: dict[str, str]) -> None:
    """Print what is new about each replica that is still there."""
    for move in row["moves"]:
        if said.get(move["uid"]) != move["message"]:
            said[move["uid"]] = move["message"]
            name = f"{move['namespace']}/{move['deployment']} {move['uid']}"
            mark = "BLOCKED: " if move["blocked"] else ""
            sys.stdout.write(f"  {name}: {mark}{move['message']}\n")
    if not row["moves"] and not row["draining"]:
        _say(row["node"], "has no replicas")
    sys.stdout.flush()


def _say(name: str, text: str) -> None:
    sys.stdout.write(f"node/{name} {text}\n")
    sys.stdout.flush()

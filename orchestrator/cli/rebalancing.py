"""`rebalance`: say what would be moved and why, do it, and say how far it is until it has ended."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from orchestrator.cli.client import Client

PERIOD_SECONDS = 0.5
PATH = "nodes/rebalance/"
Row = dict[str, Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a rebalance may be told."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--plan", action="store_true", help="only say what it would move")
    which.add_argument("--cancel", action="store_true", help="begin no further move")
    which.add_argument("--no-wait", action="store_true", help="begin and return")


def rebalance(client: Client, options: argparse.Namespace) -> int:
    """Move a few replicas so that they are spread better, each replacement serving first."""
    if options.cancel:
        row = client.call("DELETE", PATH)
        _say(f"cancelled; {_numbers(row)}")
        return 0
    plan = client.call("GET", PATH, query={"plan": True})
    _show(plan)
    if options.plan or not plan["moves"]:
        return 0
    row = client.call("POST", PATH, body=json.dumps({"digest": plan["digest"]}).encode())
    said: dict[str, str] = {}
    while not options.no_wait:
        _tell(row, said)
        if row["state"] != "running":
            break
        time.sleep(PERIOD_SECONDS)
        row = client.call("GET", PATH)
    if options.no_wait:
        return 0
    _say(f"{row['state']}; {_numbers(row)}")
    return 0 if all(move["state"] == "done" for move in row["moves"]) else 1


def _show(plan: Row) -> None:
    before, after = plan["before"], plan["after"]
    for sentence in plan["skipped"]:
        _say(f"left out: {sentence}")
    if not plan["moves"]:
        _say(plan["message"])
        return
    _say(f"pairs of one deployment on one node: {before['pairs']} → {after['pairs']}")
    _say(
        f"reserved, fullest and emptiest node: {_percent(before)} → {_percent(after)}",
    )
    for move in plan["moves"]:
        _say(f"{_name(move)} from {move['from_node']} to {move['to_node']}")
        _say(f"  gain: {move['gain']}")
        _say(f"  cost: {move['cost']}")
    if plan["is_cut"]:
        _say("more could be gained after these; run it again then")


def _tell(row: Row, said: dict[str, str]) -> None:
    """Print what is new about each move."""
    for move in row["moves"]:
        news = f"{move['state']}: {move['message']}"
        if said.get(move["uid"]) != news:
            said[move["uid"]] = news
            _say(f"{_name(move)}: {news}")


def _percent(spread: Row) -> str:
    return f"{spread['fullest'] // 10} % and {spread['emptiest'] // 10} %"


def _numbers(row: Row) -> str:
    states = [move["state"] for move in row["moves"]]
    kinds = ("done", "dropped", "cancelled")
    return ", ".join(f"{states.count(kind)} {kind}" for kind in kinds if kind in states)


def _name(move: Row) -> str:
    return f"{move['namespace']}/{move['deployment']} {move['uid']}"


def _say(text: str) -> None:
    sys.stdout.write(f"rebalance: {text}\n")
    sys.stdout.flush()

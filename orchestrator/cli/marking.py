"""`label` and `taint`: what people tell of a node, in kubectl's spelling."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from orchestrator.cli.client import Client, Refused

Taint = dict[str, str]


def label(client: Client, options: argparse.Namespace) -> int:
    """Set labels of a node (key=value), or take them away (key-)."""
    name, marks = _node_and_marks(options)
    labels: dict[str, str | None] = {}
    for mark in marks:
        key, equals, value = mark.partition("=")
        if not equals and not mark.endswith("-"):
            raise Refused(f"{mark!r} is no label; write key=value, or key- to take it away")
        labels[key if equals else mark[:-1]] = value if equals else None
    _change(client, name, {"labels": labels})
    sys.stdout.write(f"node/{name} labelled\n")
    return 0


def taint(client: Client, options: argparse.Namespace) -> int:
    """Add taints to a node (key=value:Effect), or take them away (key:Effect-, or key-)."""
    name, marks = _node_and_marks(options)
    taints: list[Taint] = client.call("GET", f"nodes/{name}/")["taints"]
    for mark in marks:
        meant = _taint(mark.removesuffix("-"))
        taints = [known for known in taints if not _is_meant(known, meant)]
        if not mark.endswith("-"):
            taints.append(meant)
    _change(client, name, {"taints": taints})
    sys.stdout.write(f"node/{name} tainted\n")
    return 0


def add_options(*parsers: argparse.ArgumentParser) -> None:
    """Add what both take."""
    for parser in parsers:
        parser.add_argument("marks", nargs="+", metavar="NODE key=value")


def _node_and_marks(options: argparse.Namespace) -> tuple[str, list[str]]:
    words = options.marks
    if words[0] in {"node", "nodes"}:
        words = words[1:]
    if len(words) < 2:
        raise Refused("name a node and what to change, such as: n1 key=value")
    return words[0], words[1:]


def _taint(text: str) -> Taint:
    words, _, effect = text.partition(":")
    key, _, value = words.partition("=")
    return {"key": key, "value": value, "effect": effect}


def _is_meant(known: Taint, meant: Taint) -> bool:
    """Tell whether a taint is replaced or taken away: same key, and effect if one is given."""
    return known["key"] == meant["key"] and meant["effect"] in {"", known["effect"]}


def _change(client: Client, name: str, body: dict[str, Any]) -> None:
    client.call("PATCH", f"nodes/{name}/", body=json.dumps(body).encode())

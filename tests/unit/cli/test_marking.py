"""`label`, `taint`, and what is said below a table of replicas."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cli import tables
from tests.unit.cli.test_commands import run

GPU = {"key": "gpu", "value": "a", "effect": "NoSchedule"}
SLOW = {"key": "slow", "value": "", "effect": "PreferNoSchedule"}

OLD = {"key": "old", "value": "", "effect": "NoSchedule"}


def changed(api) -> dict:
    """Return what the last request asked for."""
    asked = api.asked[-1]
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/nodes/n1/")
    return json.loads(asked.body)


def test_labels_are_set_and_taken_away(api, capsys):
    api.answers = [(200, {})]

    status = run("label", "nodes", "n1", "zone=a", "empty=", "old-")

    assert (status, capsys.readouterr().out) == (0, "node/n1 labelled\n")
    assert changed(api) == {"labels": {"zone": "a", "empty": "", "old": None}}


@pytest.mark.parametrize(
    ("words", "taints"),
    [
        pytest.param(["old:NoSchedule"], [GPU, SLOW, OLD], id="added"),
        pytest.param(["gpu=b:NoSchedule"], [SLOW, {**GPU, "value": "b"}], id="replaced"),
        pytest.param(["gpu:NoSchedule-"], [SLOW], id="taken-away"),
        pytest.param(["gpu-", "slow-"], [], id="with-every-effect"),
        pytest.param(["gpu:PreferNoSchedule-"], [GPU, SLOW], id="another-effect-stays"),
    ],
)  # fmt: skip
def test_taints_are_changed_one_by_one(api, words, taints):
    api.answers = [(200, {"taints": [GPU, SLOW]})]

    run("taint", "n1", *words)

    assert changed(api) == {"taints": taints}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("label", "n1", "zone"), "'zone' is no label"),
        (("label", "n1"), "name a node and what to change"),
        (("taint", "node", "n1"), "name a node and what to change"),
    ],
)
def test_what_cannot_be_meant_is_told(api, words, told):
    assert told in run(*words)
    assert not api.asked


def a_row(uid, *, waiting="", origin="", age=0):
    made = datetime.now(UTC) - timedelta(minutes=age)
    row = {"uid": uid, "deployment": "web", "waiting": waiting, "origin": origin}
    return {**row, "created_at": made.isoformat()}


def test_why_replicas_wait_is_said_once_below_their_table():
    rows = [a_row("a", waiting="no node fits"), a_row("b"), a_row("c", waiting="no node fits")]

    assert tables.remarks("replicas", rows) == ["web: a, c: no node fits"]
    assert tables.remarks("nodes", [{}]) == []


def test_where_replicas_were_moved_from_is_said_for_an_hour():
    rows = [a_row("a", origin="moved from n1 to n2"), a_row("b", origin="moved", age=61)]

    assert tables.remarks("replicas", rows) == ["web: a: moved from n1 to n2"]

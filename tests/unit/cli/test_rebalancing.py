"""`rebalance`: the plan, its progress, and how it ended."""

from __future__ import annotations

import json

import pytest

from orchestrator.cli import rebalancing
from tests.unit.cli.test_commands import run

MOVE = {
    "namespace": "default",
    "deployment": "web",
    "uid": "abc",
    "from_node": "n1",
    "to_node": "n2",
    "gain": "n1 runs 4 and n2 0; then 3 and 1",
    "cost": "one replica starts anew",
    "state": "proposed",
    "message": "",
}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(rebalancing, "PERIOD_SECONDS", 0)


def row(state="proposed", *, moves=(MOVE,), **fields) -> dict:
    spread = {"pairs": 6, "fullest": 800, "emptiest": 0}
    after = {"pairs": 3, "fullest": 600, "emptiest": 200}
    known = {"state": state, "digest": "d1", "before": spread, "after": after, "message": ""}
    return {**known, "skipped": [], "is_cut": False, "moves": list(moves), **fields}


def moving(state, message=""):
    return {**MOVE, "state": state, "message": message}


def test_the_plan_is_told_with_gain_and_cost_and_nothing_is_done(api, capsys):
    api.answers = [(200, row(skipped=["default/db: its rollout is not complete"]))]

    assert run("rebalance", "--plan") == 0

    told = capsys.readouterr().out
    assert [asked.method for asked in api.asked] == ["GET"]
    assert "plan=" in api.asked[0].path
    assert "left out: default/db: its rollout is not complete" in told
    assert "6 → 3" in told
    assert "80 % and 0 % → 60 % and 20 %" in told
    assert "default/web abc from n1 to n2" in told
    assert "gain: n1 runs 4" in told
    assert "cost: one replica starts anew" in told


def test_it_is_carried_out_as_shown_and_followed_to_its_end(api, capsys):
    api.answers = [
        (200, row()),
        (200, row("running", moves=[moving("waiting", "its turn")])),
        (200, row("running", moves=[moving("moving", "has still to serve")])),
        (200, row("running", moves=[moving("moving", "has still to serve")])),
        (200, row("done", moves=[moving("done", "moved from n1 to n2")])),
    ]

    assert run("rebalance") == 0

    told = capsys.readouterr().out
    assert json.loads(api.asked[1].body) == {"digest": "d1"}
    assert told.count("moving: has still to serve") == 1
    assert told.endswith("done: moved from n1 to n2\nrebalance: done; 1 done\n")


def test_a_dropped_move_is_a_failure(api, capsys):
    dropped = row("done", moves=[moving("dropped", "n2 is cordoned"), moving("done")])
    api.answers = [(200, row()), (200, dropped)]

    assert run("rebalance") == 1
    assert "n2 is cordoned" in capsys.readouterr().out


def test_with_nothing_to_gain_nothing_is_asked_for(api, capsys):
    api.answers = [(200, row(moves=(), message="nothing to gain"))]

    assert run("rebalance") == 0
    assert capsys.readouterr().out == "rebalance: nothing to gain\n"


def test_it_need_not_be_followed_and_can_be_cancelled(api, capsys):
    api.answers = [(200, row()), (200, row("running"))]
    assert run("rebalance", "--no-wait") == 0

    api.answers = [(200, row("cancelled", moves=[moving("cancelled"), moving("done")]))]
    assert run("rebalance", "--cancel") == 0

    assert api.asked[-1].method == "DELETE"
    assert capsys.readouterr().out.endswith("cancelled; 1 done, 1 cancelled\n")

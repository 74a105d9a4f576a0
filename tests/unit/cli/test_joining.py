"""`node token`: the command for another machine, with an address that machine can use."""

from __future__ import annotations

import pytest

from orchestrator.cli import joining
from orchestrator.launch import commands
from tests.unit.cli.test_commands import run

MADE = (201, {"token": "kjoin_x"})


def test_an_address_that_is_given_is_used(api, capsys):
    api.answers = [MADE]

    status = run("join-token", "--address", "https://kijabi.example")

    assert status == 0
    command = "python3 manage.py node join https://kijabi.example --token kjoin_x\n"
    assert capsys.readouterr().out == command
    assert (api.asked[0].method, api.asked[0].path) == ("POST", "/api/v1/nodes/join-tokens/")


def test_nobody_is_sent_to_loopback(api, monkeypatch: pytest.MonkeyPatch):
    api.answers = [MADE]
    monkeypatch.setattr(joining, "_own_address", lambda: "127.0.0.2")

    with pytest.raises(SystemExit, match=r"start it with `manage.py up --host 0.0.0.0`"):
        commands.run(["node", "token"])

    assert api.asked == []


def test_loopback_is_replaced_by_this_machines_own_address(api, monkeypatch, capsys):
    api.answers = [MADE]
    monkeypatch.setattr(joining, "_own_address", lambda: "127.0.0.1")

    with pytest.raises(SystemExit) as ended:
        commands.run(["node", "token"])

    assert ended.value.code == 0
    assert "node join http://127.0.0.1:" in capsys.readouterr().out

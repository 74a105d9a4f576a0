"""`exec`: the command's output and code become the client's own."""

from __future__ import annotations

import json

import pytest

from orchestrator.cli.main import main


def ended(outcome: str = "exited", code: int | None = 0, message: str = "over") -> dict:
    return {"outcome": outcome, "exit_code": code, "message": message}


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(("exec", *words))
    return end.value.code


def answer(api, *items: dict) -> None:
    api.answers = [(200, [json.dumps(item) for item in items])]


def test_output_goes_where_it_came_from(api, capfd):
    answer(
        api,
        {"stream": "stdout", "text": "fine\nö"},
        {"stream": "stderr", "text": "bad\n"},
        ended(code=3),
    )

    status = run("r1", "--", "ls", "-l")

    said = capfd.readouterr()
    assert (status, said.out, said.err) == (3, "fine\nö", "bad\n")
    [asked] = api.asked
    assert (asked.method, asked.path) == ("POST", "/api/v1/replicas/r1/exec/")
    assert json.loads(asked.body) == {"command": ["ls", "-l"], "timeout_seconds": 60}


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["--timeout", "5", "r1", "--", "sh", "-c", "--", "x"], ["sh", "-c", "--", "x"]),
        (["r1", "--timeout=5", "--", "--help"], ["--help"]),
    ],
)
def test_everything_after_the_dashes_is_the_command(api, words, command):
    answer(api, ended())

    assert run(*words) == 0
    assert json.loads(api.asked[0].body) == {"command": command, "timeout_seconds": 5}


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("timed-out", 124), ("cut", 137), ("abandoned", 137), ("failed", 125), ("lost", 125)],
)
def test_what_did_not_exit_is_told(api, capfd, outcome: str, status: int):
    answer(api, ended(outcome, None, "this is why"))

    assert run("r1", "--", "ls") == status
    assert capfd.readouterr().err == "kijabi: this is why\n"


def test_an_answer_without_an_end_is_told(api):
    answer(api, {"stream": "stdout", "text": "fine"})

    assert "went away before the command ended" in run("r1", "--", "ls")


def test_a_refusal_is_told(api):
    api.answers = [(409, {"detail": "replica r1 is stopped"})]

    assert run("r1", "--", "ls") == "kijabi: replica r1 is stopped"

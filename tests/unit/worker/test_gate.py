"""What a worker's door lets through of a message from the broker."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from worker import gate
from worker.envelope import Refused

TASK = "worker.ping"


def body(content: object) -> str:
    return base64.b64encode(json.dumps(content).encode()).decode()


def a_message(**parts: Any) -> dict[str, Any]:
    """Return what Celery publishes, with other parts."""
    return {
        "body": body([[], {"envelope": {"body": "b"}}, {"chain": None}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"task": TASK, "id": "u1", "retries": 0},
        "properties": {"delivery_tag": "t1", "body_encoding": "base64"},
    } | parts


def test_a_message_of_ours_passes():
    passed = gate.sifted(a_message())

    assert (passed["headers"]["task"], passed["headers"]["id"]) == (TASK, "u1")
    assert json.loads(base64.b64decode(passed["body"])) == [[], {"envelope": {"body": "b"}}, {}]


def test_headers_and_callbacks_have_no_power():
    later = {"eta": "2099-01-01T00:00:00", "expires": 5, "timelimit": [1, 1], "shadow": "x"}
    chained = [[1], {"envelope": None}, {"callbacks": [{"task": "worker.ping"}], "chain": [1]}]
    message = a_message(headers={"task": TASK, "id": "u1", **later}, body=body(chained))

    passed = gate.sifted(message)

    assert not set(later) & set(passed["headers"])
    assert json.loads(base64.b64decode(passed["body"])) == [[], {"envelope": None}, {}]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(None, id="nothing"),
        pytest.param(5, id="a number"),
        pytest.param([], id="a list"),
        pytest.param({}, id="an empty object"),
        pytest.param(a_message(headers=None), id="no headers"),
        pytest.param(a_message(properties=None), id="no properties"),
        pytest.param(a_message(properties={"body_encoding": "base64"}), id="no tag"),
        pytest.param(a_message(headers={"task": TASK}), id="no id"),
        pytest.param(a_message(headers={"task": TASK, "id": ["u"]}), id="a list for an id"),
        pytest.param(a_message(headers={"task": 7, "id": "u"}), id="a number for a task"),
        pytest.param(a_message(headers={"task": "celery.map", "id": "u"}), id="Celery's own task"),
        pytest.param(a_message(body=None), id="no body"),
        pytest.param(a_message(body="%%%"), id="no base64"),
        pytest.param(a_message(body=base64.b64encode(b"[" * 100_000).decode()), id="too deep"),
        pytest.param(a_message(body=base64.b64encode(b"\xff\xfe").decode()), id="no text"),
        pytest.param(a_message(body=body(5)), id="a number for a body"),
        pytest.param(a_message(body=body([[], []])), id="too short a body"),
        pytest.param(a_message(body=body([[], [], {}])), id="no keywords"),
        pytest.param(a_message(properties={"delivery_tag": "t"}), id="a body in the open"),
    ],
)
def test_nothing_else_passes(message: object):
    with pytest.raises(Refused):
        gate.sifted(message)

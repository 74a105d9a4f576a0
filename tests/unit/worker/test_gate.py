"""What a worker's door lets through of a message from the broker."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import redis
from kombu import Connection

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
    passed = gate.sifted(a_message(), "node.n1")

    assert (passed["headers"]["task"], passed["headers"]["id"]) == (TASK, "u1")
    assert json.loads(base64.b64decode(passed["body"])) == [[], {"envelope": {"body": "b"}}, {}]


def test_headers_and_callbacks_have_no_power():
    later = {"eta": "2099-01-01T00:00:00", "expires": 5, "timelimit": [1, 1], "shadow": "x"}
    chained = [[1], {"envelope": None}, {"callbacks": [{"task": "worker.ping"}], "chain": [1]}]
    message = a_message(headers={"task": TASK, "id": "u1", **later}, body=body(chained))

    passed = gate.sifted(message, "node.n1")

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
        gate.sifted(message, "node.n1")


@pytest.mark.parametrize(
    "told", [pytest.param(True, id="of-this-release"), pytest.param(False, id="of-an-earlier-one")]
)
def test_a_message_whose_worker_died_over_it_goes_back_to_its_queue(
    broker: redis.Redis, broker_url: str, told: bool
):
    broker.lpush("node.n1", json.dumps(a_message()))
    options = {"deadletter_queue": "node.n1", "visibility_timeout": -1, "polling_interval": 1}
    with Connection(
        broker_url, transport="worker.gate:Transport", transport_options=options
    ) as connection:
        channel = connection.channel()
        taken: list[Any] = []
        channel.basic_consume("node.n1", False, taken.append, "tag")
        connection.drain_events(timeout=5)
        ((uid, entry),) = broker.hgetall("unacked").items()
        if not told:
            message, exchange, _queue = json.loads(entry)
            broker.hset("unacked", uid, json.dumps([message, exchange, ""]))

        channel.qos.restore_visible()

        assert len(taken) == 1
        assert (broker.llen("node.n1"), broker.hlen("unacked")) == (1, 0)

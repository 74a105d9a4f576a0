"""What is away: said once; what an engine took along with it; coming back soon after the broker."""

from __future__ import annotations

import logging
import time

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError

from orchestrator.celery import app as control_app
from tests.machine import NAME, START, Clock, Machine
from worker import app as node_app
from worker import deaths
from worker.outage import Outage
from worker.reconnecting import LONGEST_SECONDS, Consumer


@pytest.fixture
def outage() -> Outage:
    clock = Clock()
    found = Outage("It", clock)
    found.lost(OSError("gone"))
    clock.now += 60
    found.lost(OSError("still gone"))
    found.found()
    found.found()
    return found


def test_an_outage_is_said_once_when_it_begins_and_once_when_it_ends(
    request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO):
        request.getfixturevalue("outage")

    assert caplog.messages == ["It does not answer: gone", "It answers again after 60 s"]


@pytest.mark.parametrize(
    ("later", "expected"), [(-16, False), (-14, True), (30, True), (60, True), (61, False)]
)
def test_an_outage_explains_what_ended_during_it_or_just_before(outage, later, expected):
    assert outage.explains(Clock().now + later) is expected


def test_an_outage_without_end_explains_everything_since():
    outage = Outage("It", Clock())
    assert not outage.explains(Clock().now)

    outage.lost("")

    assert outage.explains(Clock().now + 10**6)


def test_a_replica_whose_engine_ended_says_so_and_is_counted_once(machine: Machine):
    machine.clock.now = time.time()
    machine.do(START)

    machine.runtime.die(NAME, 143)
    machine.runtime.faults.engine_down = True
    machine.look()
    machine.runtime.faults.engine_down = False
    machine.look(later=5)

    status = machine.status()
    assert (status.ready, status.restarts) == (True, 1)
    assert status.message == deaths.WITH_ENGINE


def test_a_replica_told_dead_is_not_ready_while_nobody_can_look(machine: Machine):
    machine.do(START)
    machine.runtime.faults.engine_down = True

    machine.agent._doubt("r1")
    machine.agent.run_until_idle()
    assert machine.status().ready
    machine.agent._doubt("r1", died=True)
    machine.agent.run_until_idle()

    assert not machine.status().ready
    assert "r1" in machine.changed
    machine.runtime.faults.engine_down = False
    machine.look()
    assert machine.status().ready


@pytest.mark.parametrize("app", [node_app.app, control_app], ids=["node", "control"])
def test_a_consumer_never_waits_long_for_a_broker_that_is_away(app, monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", waits.append)
    assert app.conf.worker_consumer == "worker.reconnecting:Consumer"
    monkeypatch.setitem(app.conf, "broker_connection_max_retries", 9)
    consumer = Consumer.__new__(Consumer)
    consumer.app = app
    consumer.first_connection_attempt = False
    consumer.broker_connection_retry_attempt = 0

    nowhere = Connection("redis://127.0.0.1:1/0")
    with nowhere, pytest.raises(OperationalError, match="refused"):
        consumer.ensure_connected(nowhere)

    assert sum(waits) < 9 * LONGEST_SECONDS

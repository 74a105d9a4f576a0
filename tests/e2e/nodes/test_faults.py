"""Nodes, the broker or the control plane are cut off or die, and come back: nothing runs twice."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.fleet import LOST_SECONDS, Fleet

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

FLAG = """        readinessProbe: {exec: {command: [ls, /tmp/ready]}, periodSeconds: 1}"""


@contextmanager
def never_above(fleet: Fleet, most: int) -> Iterator[None]:
    """Fail if more replicas than that are ever told to be available."""
    counted, over = [], threading.Event()

    def count() -> None:
        while not over.wait(0.1):
            found = fleet.stack.api("namespaces/default/deployments/web/")
            counted.append(found["status"]["available"])

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield
    finally:
        over.set()
        counting.join()
    assert max(counted) <= most, counted


def test_a_node_that_is_cut_off_is_replaced_and_keeps_its_replica_alive(web: Fleet):
    cut = web.nodes["c"].machine

    with never_above(web, 3):
        cut.unplug()
        web.await_states(c="suspect")
        web.await_replaced("c", count=3)
        web.kill_container("c")
        assert len(web.containers()) == 4

    cut.heal()
    web.stack.wait_for(lambda: web.is_whole(3))
    web.await_states(c="ready")
    assert web.reasons().count("NodeLost") == 1


@pytest.mark.parametrize("fault", ["be_deaf", "be_mute"])
def test_a_node_that_is_cut_off_in_one_direction_is_replaced(web: Fleet, fault: str):
    cut = web.nodes["b"].machine

    with never_above(web, 3):
        getattr(cut, fault)()
        web.await_replaced("b", count=3)

    cut.heal()
    web.stack.wait_for(lambda: web.is_whole(3))
    web.await_states(b="ready")


def test_a_replica_that_returns_is_kept_while_its_replacement_is_not_ready(three: Fleet):
    three.apply("web", replicas=3, more=FLAG)
    three.stack.wait_for(lambda: len(three.containers()) == 3)
    for name in three.containers():
        subprocess.run(["docker", "exec", name, "touch", "/tmp/ready"], check=True)
    three.stack.wait_for(lambda: three.is_whole(3))
    before = three.uids()

    three.nodes["c"].machine.unplug()
    three.await_states(c="lost")
    three.stack.wait_for(lambda: len(three.containers()) == 4)
    three.nodes["c"].machine.heal()

    three.stack.wait_for(lambda: three.is_whole(3))
    assert three.uids() == before


def test_a_node_that_reports_but_does_not_hear_is_lost_and_stays_so(web: Fleet):
    cut = web.nodes["c"]

    web.forbid(cut, "brpop")
    web.await_replaced("c", count=3)
    time.sleep(2 * LOST_SECONDS)

    assert web.reasons().count("NodeLost") == 1
    web.allow(cut, "brpop")
    web.stack.wait_for(lambda: web.is_whole(3))
    web.await_states(c="ready")


def test_when_most_nodes_are_cut_off_at_once_nothing_is_replaced(web: Fleet):
    before = web.uids()

    for name in "bc":
        web.nodes[name].machine.unplug()
    web.stack.wait_for(lambda: "NodeLossDoubted" in web.reasons())
    time.sleep(LOST_SECONDS)

    assert len(web.containers()) == 3
    for name in "bc":
        web.nodes[name].machine.heal()
    web.await_states(a="ready", b="ready", c="ready")
    web.stack.wait_for(lambda: web.is_whole(3))
    assert web.uids() == before
    assert "NodeLost" not in web.reasons()


def test_nodes_cut_off_one_by_one_and_back_in_another_order_leave_three(web: Fleet):
    web.nodes["c"].machine.unplug()
    web.await_replaced("c", count=3)
    web.nodes["b"].machine.unplug()
    web.await_replaced("b", "c", count=3)

    web.nodes["b"].machine.heal()
    web.await_states(b="ready", c="lost")
    web.nodes["c"].machine.heal()

    web.await_states(b="ready", c="ready")
    web.stack.wait_for(lambda: web.is_whole(3))


def test_a_line_that_loses_packets_makes_no_node_lost(web: Fleet):
    before = web.uids()

    web.nodes["b"].machine.lose(10)
    time.sleep(2 * LOST_SECONDS)

    assert web.is_whole(3)
    assert web.uids() == before
    assert "NodeLost" not in web.reasons()


def test_a_node_that_is_killed_is_replaced_in_time_and_healed_on_return(web: Fleet):
    killed_at = time.monotonic()
    web.nodes["a"].kill()
    web.await_replaced("a", count=3)

    assert time.monotonic() - killed_at < 2 * LOST_SECONDS
    assert len(web.containers("a")) == 1
    web.nodes["a"].start()
    web.stack.wait_for(lambda: web.is_whole(3))
    web.await_states(a="ready")


def test_a_control_plane_that_was_away_longer_than_that_replaces_nothing(web: Fleet):
    before = web.containers()

    web.stack.end()
    web.kill_container("b")
    time.sleep(2 * LOST_SECONDS)
    assert web.containers().keys() == before.keys()
    web.stack.start()

    web.await_states(a="ready", b="ready", c="ready")
    time.sleep(LOST_SECONDS)
    web.stack.wait_for(lambda: web.is_whole(3))
    assert web.containers().keys() == before.keys()
    assert {"NodeLost", "ReplaceMissing"}.isdisjoint(web.reasons())


def test_a_broker_that_is_killed_replaces_nothing(web: Fleet):
    before = web.uids()

    web.stack.kill("-server 127")
    web.kill_container("c")
    time.sleep(2 * LOST_SECONDS)

    web.stack.wait_for(lambda: web.is_whole(3))
    assert web.uids() == before
    assert "NodeLost" not in web.reasons()

"""A real Caddy that dies, and one whose agent does."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter

import pytest

from tests import backends
from tests.backends import Backend
from tests.caddies import CaddySite, a_route
from tests.sandboxes import wait_for
from worker.gateway.rotation import View

pytestmark = pytest.mark.xdist_group("caddy")


def test_a_killed_caddy_is_back_within_a_second(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    os.kill(caddy_site.caddy.pid or 0, signal.SIGKILL)

    deadline = time.monotonic() + 1.0
    while time.monotonic() < deadline:
        try:
            answer = caddy_site.get()
            break
        except OSError:
            time.sleep(0.02)

    assert answer == (200, "one")


def test_no_request_fails_while_one_agent_follows_another(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(*servers)
    first = caddy_site.caddy.pid
    with backends.load(caddy_site.ports[0], "a.example") as load:
        for _ in range(5):
            caddy_site.succeed()
            time.sleep(0.1)

    assert load.failures == []
    assert load.answers > 20
    assert caddy_site.caddy.pid == first


def test_the_next_agent_has_it_do_what_has_changed_meanwhile(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    caddy_site.lose_agent()

    caddy_site.succeed(a_route(host="b.example"))

    assert caddy_site.get(host="b.example") == (200, "one")
    assert caddy_site.get(host="a.example")[0] == 404


def test_the_next_agent_starts_it_again_when_it_dies(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    first = caddy_site.caddy.pid
    caddy_site.succeed()

    os.kill(first or 0, signal.SIGKILL)

    deadline = time.monotonic() + 5
    while caddy_site.caddy.pid in {None, first}:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_last_ingress_that_goes_while_no_agent_runs_is_served_no_more(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    caddy_site.lose_agent()

    caddy_site.view = View()
    caddy_site.succeed()

    assert caddy_site.get()[0] == 404


def slow_requests(caddy_site: CaddySite, count: int) -> Counter[tuple[int, str]]:
    """Return the answers to so many requests at once, which need a connection each."""
    answers: list[tuple[int, str]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(caddy_site.get("/slow")))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(answers)


def test_new_connections_to_replicas_are_opened_while_no_agent_runs(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(*servers)
    caddy_site.get()
    caddy_site.lose_agent()

    answers = slow_requests(caddy_site, 12)

    assert answers == {(200, "one"): 4, (200, "two"): 4, (200, "three"): 4}


def test_a_route_that_nobody_had_asked_for_is_served_while_no_agent_runs(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    caddy_site.lose_agent()

    assert caddy_site.get() == (200, "one")


def test_routes_follow_the_next_agent_at_once(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    caddy_site.get()
    caddy_site.lose_agent()
    before = caddy_site.get()

    caddy_site.succeed()
    caddy_site.serve(servers[1])

    assert before == (200, "one")
    assert [caddy_site.get() for _ in range(5)] == [(200, "two")] * 5


def test_the_next_agent_starts_again_what_tells_who_serves(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(*servers)
    first = caddy_site.answering_pid()
    caddy_site.lose_agent()
    os.kill(first, signal.SIGKILL)

    caddy_site.succeed()

    wait_for(lambda: caddy_site.answering_pid() != first)
    assert slow_requests(caddy_site, 6).keys() <= {(200, s.name) for s in servers}


def test_what_is_idle_holds_no_connection_to_a_replica_for_long(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    caddy_site.get()
    kept = servers[0].connections

    wait_for(lambda: servers[0].connections == 0)

    assert kept == 1

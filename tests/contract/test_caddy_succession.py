"""A real Caddy that dies, and one whose agent does."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests import backends
from tests.backends import Backend
from tests.caddies import CaddySite, a_route
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
    assert load.answers > 50
    assert caddy_site.caddy.pid == first


def test_the_next_agent_has_it_do_what_has_changed_meanwhile(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    caddy_site.caddy.close()

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
    caddy_site.caddy.close()

    caddy_site.view = View()
    caddy_site.succeed()

    assert caddy_site.get()[0] == 404

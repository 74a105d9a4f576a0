"""A real Caddy serves hosts and paths, and drops nothing while endpoints and routes change."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from tests import backends
from tests.backends import Backend
from tests.caddies import CaddySite, a_route
from worker.gateway import caddy
from worker.routes import HttpRoute, PathMatch

pytestmark = pytest.mark.xdist_group("caddy")


def test_nothing_runs_before_there_is_an_ingress(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.serve(servers[0])

    assert caddy_site.caddy.pid is None


def test_hosts_and_paths_lead_where_kubernetes_would_lead_them(
    caddy_site: CaddySite, servers: list[Backend]
):
    for server in servers:
        caddy_site.serve(server, name=server.name)
    caddy_site.route(
        a_route(service="one"),
        a_route(path="/api", service="two"),
        a_route(path="/api/v1", match=PathMatch.EXACT, service="three"),
        HttpRoute(host="*.wild.example", service="three", port=80),
    )

    asked = ["/", "/api", "/api/", "/api/v1", "/api/v1/", "/apix", "/API"]
    assert [caddy_site.get(path)[1] for path in asked] == [
        "one",
        "two",
        "two",
        "three",
        "two",
        "one",
        "one",
    ]
    assert caddy_site.get(host="b.wild.example") == (200, "three")
    assert caddy_site.get(host="other.example")[0] == 404


def test_a_dead_endpoint_is_passed_over(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(*servers)
    servers[0].close()

    seen = {caddy_site.get() for _ in range(20)}

    assert seen <= {(200, "two"), (200, "three")}


def test_no_request_fails_while_endpoints_come_and_go(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(*servers)
    with backends.load(caddy_site.ports[0], "a.example") as load:
        for step in range(30):
            caddy_site.serve(*(server for n, server in enumerate(servers) if n != step % 3))
            time.sleep(0.03)

    assert load.failures == []
    assert load.answers > 100


def test_what_has_left_rotation_gets_no_request_once_that_is_confirmed(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(*servers)
    with backends.load(caddy_site.ports[0], "a.example"):
        time.sleep(0.2)
        caddy_site.serve(*servers[1:], draining=(servers[0],))
        while caddy_site.busy():
            time.sleep(0.005)
        before = servers[0].requests
        time.sleep(0.3)

    assert servers[0].requests == before


def test_a_request_under_way_ends_well_and_is_counted_until_then(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    answers: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: answers.append(caddy_site.get("/slow?1")))
    slow.start()
    servers[0].await_request()

    caddy_site.serve(servers[1], draining=(servers[0],))
    caddy_site.route(a_route(), a_route(host="b.example"))
    during = caddy_site.busy()
    slow.join()

    assert (during, caddy_site.busy()) == ({"one"}, frozenset())
    assert answers == [(200, "one")]


def test_a_websocket_outlives_a_change_of_routes(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    with backends.websocket(caddy_site.ports[0], "a.example") as talk:
        before = talk(b"hello")
        caddy_site.route(a_route(), a_route(host="b.example"))
        after = talk(b"again")

    assert (before, after) == (b"hello", b"again")


def test_held_requests_wait_until_they_are_let_go(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.serve(servers[0])
    caddy_site.route(a_route(held=True, hold_seconds=20))
    answers: list[tuple[int, str]] = []
    waiting = threading.Thread(target=lambda: answers.append(caddy_site.get()))
    waiting.start()
    time.sleep(0.5)
    caddy_site.route(a_route(held=True, hold_seconds=20), a_route(host="b.example"))
    before = list(answers)

    caddy_site.route(a_route())
    waiting.join()

    assert (before, answers) == ([], [(200, "one")])


def test_a_held_request_goes_on_when_its_time_is_up(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.serve(servers[0])
    caddy_site.route(a_route(held=True, hold_seconds=1))

    began = time.monotonic()
    answer = caddy_site.get()

    assert answer == (200, "one")
    assert time.monotonic() - began > 0.9


def test_requests_for_who_sleeps_wait_and_are_told(caddy_site: CaddySite, servers: list[Backend]):
    knocks: list[frozenset[str]] = []
    caddy_site.caddy.on_knock(lambda: knocks.append(caddy_site.caddy.awaited()))
    caddy_site.route(a_route(wakes=True, hold_seconds=20))
    answers: list[tuple[int, str]] = []
    waiting = [threading.Thread(target=lambda: answers.append(caddy_site.get())) for _ in range(3)]
    for thread in waiting:
        thread.start()
    deadline = time.monotonic() + 10
    while not knocks and time.monotonic() < deadline:
        time.sleep(0.01)
    asleep = list(answers)

    caddy_site.serve(servers[0])
    for thread in waiting:
        thread.join()

    assert (asleep, answers) == ([], [(200, "one")] * 3)
    assert knocks[0] == {"default/web"}
    assert caddy_site.caddy.awaited() == frozenset()
    assert caddy_site.get() == (200, "one")


def test_what_has_waited_is_counted_until_it_ends(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route(wakes=True, hold_seconds=20))
    answers: list[tuple[int, str]] = []
    slow = threading.Thread(target=lambda: answers.append(caddy_site.get("/slow?1")))
    slow.start()
    _until(lambda: caddy_site.caddy.awaited() == {"default/web"})
    caddy_site.serve(servers[0])
    servers[0].await_request()

    caddy_site.serve(draining=(servers[0],))
    during = caddy_site.busy()
    slow.join()

    assert (during, answers) == ({"one"}, [(200, "one")])
    _until(lambda: caddy_site.busy() == frozenset())


def test_who_gives_up_is_awaited_no_more(caddy_site: CaddySite):
    caddy_site.route(a_route(wakes=True, hold_seconds=20))
    with socket.create_connection(("127.0.0.1", caddy_site.ports[0]), 5) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        _until(lambda: caddy_site.caddy.awaited() == {"default/web"})

    _until(lambda: caddy_site.caddy.awaited() == frozenset())


def _until(look: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not look():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def test_a_service_nobody_serves_is_an_error_within_seconds(caddy_site: CaddySite):
    caddy_site.route(a_route())

    began = time.monotonic()
    status, _ = caddy_site.get()

    assert status in {502, 503}
    assert time.monotonic() - began < 8


def test_a_cookie_keeps_a_client_with_one_endpoint(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route(sticky=True))
    caddy_site.serve(*servers)
    with closing(http.client.HTTPConnection("127.0.0.1", caddy_site.ports[0], timeout=5)) as client:
        client.request("GET", "/", headers={"Host": "a.example"})
        answer = client.getresponse()
        first, cookie = answer.read().decode().strip(), answer.headers["Set-Cookie"]

    seen = {caddy_site.get(Cookie=cookie.partition(";")[0])[1] for _ in range(10)}

    assert seen == {first}


def test_a_configuration_it_refuses_changes_nothing(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])

    with pytest.raises(caddy.CannotRoute, match="refuses"):
        caddy_site.route(a_route(), certificates=(backends.broken_certificate(),))

    assert caddy_site.get() == (200, "one")


def test_automatic_hosts_are_served_with_a_certificate_of_our_own(
    caddy_site: CaddySite, servers: list[Backend]
):
    caddy_site.serve(servers[0])
    caddy_site.route(a_route(), automatic_hosts=("a.example",))

    assert caddy_site.get()[0] == 308
    assert backends.get_tls(caddy_site.ports[1], "a.example") == ("h2", "one")

"""A real Caddy writes what the counter of requests reads."""

from __future__ import annotations

import time

import pytest

from tests.backends import Backend
from tests.caddies import CaddySite, a_route
from worker.gateway.access_log import AccessLog
from worker.gateway.request_counter import RequestCounter

pytestmark = pytest.mark.xdist_group("caddy")


def test_every_request_is_counted_once(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route(), a_route(path="/other", service="other"))
    caddy_site.serve(servers[0])
    caddy_site.serve(name="other")
    log = AccessLog(caddy_site.folder / "access.log")
    counter = RequestCounter(log, caddy_site.caddy.under_way)
    counter.know(caddy_site.view)

    for _ in range(7):
        assert caddy_site.get() == (200, "one")
    # Nobody serves it, so the gateway has to say so itself.
    assert caddy_site.get("/other")[0] in {502, 503}
    time.sleep(0.3)
    told = counter.take(10.0)

    services = {one.service: one for one in told.services}
    assert services["default/web"].classes == (0, 7, 0, 0, 0)
    assert services["default/web"].failed == 0
    assert services["default/other"].classes == (0, 0, 0, 0, 1)
    assert services["default/other"].failed == 1
    assert [(one.uid, one.requests) for one in told.replicas] == [("one", 7)]
    counter.close()


def test_no_route_is_no_service(caddy_site: CaddySite, servers: list[Backend]):
    caddy_site.route(a_route())
    caddy_site.serve(servers[0])
    counter = RequestCounter(AccessLog(caddy_site.folder / "access.log"), dict)
    counter.know(caddy_site.view)

    assert caddy_site.get(host="nobody.example")[0] == 404
    time.sleep(0.3)

    assert counter.take(1.0).services == ()
    counter.close()

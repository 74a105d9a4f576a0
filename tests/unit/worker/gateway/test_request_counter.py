"""Requests by service and replica, from lines of the log and what Caddy has under way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.gateway.access_log import AccessLog
from worker.gateway.end_names import end_name
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.request_counter import RequestCounter
from worker.gateway.rotation import View
from worker.gateway.upstreams import name_of
from worker.measured import LATENCY_BOUNDS_MILLIS, MeasuredRequests, MeasuredTarget
from worker.protocol import ReplicaUid
from worker.routes import HttpRoute, IngressRoutes

ROUTE = HttpRoute(host="a.example", service="web", port=80)
EDGE = IngressRoutes(namespace="default", name="edge", routes=(ROUTE,))
ONE, TWO = (Target(replica=f"u{n}", address=f"10.5.0.{n}", port=8080) for n in (1, 2))


def view(*targets: Target, draining: tuple[Target, ...] = ()) -> View:
    port = LivePort(port=80, targets=targets, draining=draining)
    web = LiveService(namespace="default", name="web", ports=(port,))
    return View(services={"default/web": web}, ingresses={"default/edge": EDGE})


class Site:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.busy: dict[tuple[str, int], int] = {}
        self.counter = RequestCounter(AccessLog(path), lambda: self.busy)

    def answer(
        self, target: Target | None, status: int = 200, seconds: float = 0.002, **more
    ) -> None:
        end = f"{end_name(target.address)}.:{target.port}" if target else ""
        known = {"bytes_read": 0, "duration": seconds, "status": status, "end": end}
        known |= {"route": name_of(EDGE, ROUTE)} | more
        with self.path.open("a") as file:
            file.write(json.dumps(known, separators=(",", ":")) + "\n")

    def take(self, seconds: float = 5.0) -> MeasuredRequests:
        return self.counter.take(seconds)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "access.log")
    yield made
    made.counter.close()


def test_without_requests_there_is_nothing_to_tell(site: Site):
    site.counter.know(view(ONE))

    assert site.take() == MeasuredRequests()


def test_answers_are_counted_by_class_time_and_replica(site: Site):
    site.counter.know(view(ONE, TWO))
    site.answer(ONE)
    site.answer(ONE, status=404, seconds=0.3)
    site.answer(TWO, status=500, seconds=99)
    site.answer(None, status=502, failed=502)

    told = site.take()

    [web] = told.services
    assert (web.service, web.classes, web.failed) == ("default/web", (0, 1, 0, 1, 2), 1)
    slow = LATENCY_BOUNDS_MILLIS.index(500)
    assert [web.latencies[n] for n in (0, slow, len(LATENCY_BOUNDS_MILLIS))] == [2, 1, 1]
    # The slowest one was under way for all of the period, and no longer than that.
    assert web.in_flight_millis == round((0.002 + 0.3 + 5 + 0.002) / 5 * 1000)
    assert [(one.uid, one.requests) for one in told.replicas] == [("u1", 2), ("u2", 1)]
    assert site.take() == MeasuredRequests()


def test_what_is_under_way_counts_before_it_is_answered(site: Site):
    site.counter.know(view(ONE))
    site.busy = {("10.5.0.1", 8080): 3, ("10.9.9.9", 80): 4}

    told = site.take()

    assert told.replicas == (MeasuredTarget(uid=ReplicaUid("u1"), in_flight_millis=3000),)


def test_a_replica_that_has_left_is_known_until_its_lines_were_read(site: Site):
    site.counter.know(view(ONE, TWO))
    site.answer(ONE)
    site.counter.know(view(TWO))

    assert [one.uid for one in site.take().replicas] == ["u1"]

    site.answer(ONE)
    told = site.take()
    assert told.replicas == ()
    assert told.services[0].classes == (0, 1, 0, 0, 0)


def test_lines_of_routes_that_are_gone_are_left_out(site: Site):
    site.counter.know(View())
    site.answer(ONE)

    assert site.take() == MeasuredRequests()

"""Who serves on its own node before the control plane has heard that it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from worker.gateway.live import LocalReplica, Place, Target, live
from worker.gateway.newcomers import SECONDS, Newcomers
from worker.gateway.rotation import Rotation
from worker.gateway.table import Routes
from worker.protocol import ReplicaUid
from worker.routes import Endpoint, ServicePort, ServiceRoutes

LABELS = frozenset({("app", "web"), ("tier", "front")})
READY = LocalReplica(
    namespace="default",
    address="10.5.0.2",
    ready=True,
    labels=LABELS,
    named_ports=(("http", 8080),),
    reachable=((9090, 31000),),
)
UNREADY = replace(READY, ready=False)
WEB = ServiceRoutes(
    namespace="default",
    name="web",
    selector=(("app", "web"),),
    ports=(ServicePort(port=80, target="http"), ServicePort(port=81, target="9090")),
)


class Eyes:
    """Newcomers with a clock of the test's."""

    def __init__(self) -> None:
        self.now = 100.0
        self.newcomers = Newcomers(lambda: self.now)

    def see(self, **replicas: LocalReplica | None) -> set[str]:
        return set(self.place(replicas).newcomers)

    def place(self, replicas: Mapping[str, LocalReplica | None]) -> Place:
        return self.newcomers.seen(Place(node="n1", address="10.6.0.1", replicas=replicas))


def test_whoever_becomes_ready_before_our_eyes_is_one_for_a_moment():
    eyes = Eyes()
    eyes.see(r=UNREADY)

    assert eyes.see(r=READY) == {"r"}
    eyes.now += SECONDS - 1
    assert eyes.see(r=READY) == {"r"}
    eyes.now += 1
    assert eyes.see(r=READY) == set()


def test_whoever_is_assigned_and_ready_between_two_looks_is_one():
    eyes = Eyes()
    eyes.see()

    assert eyes.see(r=READY) == {"r"}


def test_whoever_is_no_longer_ready_is_none_and_may_become_one_again():
    eyes = Eyes()
    eyes.see(r=UNREADY)
    eyes.see(r=READY)

    assert eyes.see(r=UNREADY) == set()
    assert eyes.see() == set()
    assert eyes.see(r=READY) == {"r"}


@pytest.mark.parametrize(
    "before",
    [
        pytest.param({}, id="first-look"),
        pytest.param({"r": None}, id="nobody-had-looked-at-it"),
        pytest.param({"r": READY}, id="was-ready"),
    ],
)
def test_whoever_may_have_been_ready_before_is_none(before: dict):
    eyes = Eyes()
    if before:
        eyes.see(**before)

    assert eyes.see(r=READY) == set()


def test_of_whom_the_control_plane_has_spoken_is_none_any_more():
    """It was told to serve and to drain, and is in no table now: it is about to stop."""
    eyes = Eyes()
    eyes.see(r=UNREADY)
    eyes.see(r=READY)

    there = Place(node="n1", replicas={"r": READY})

    assert not eyes.newcomers.seen(there, {"r"}).newcomers
    assert not eyes.newcomers.seen(there).newcomers


def place(**replicas: LocalReplica) -> Place:
    return Place(
        node="n1", address="10.6.0.1", replicas=replicas, newcomers=replicas, has_looked=True
    )


def test_a_newcomer_serves_the_ports_it_has():
    first, second = live(WEB, place(r=READY)).ports

    assert first.targets == (Target(replica="r", address="10.5.0.2", port=8080),)
    assert second.targets == (Target(replica="r", address="10.5.0.2", port=31000),)


@pytest.mark.parametrize(
    ("service", "replica"),
    [
        (WEB, replace(READY, namespace="shop")),
        (WEB, replace(READY, labels=frozenset({("tier", "front")}))),
        (replace(WEB, selector=()), READY),
        (replace(WEB, ports=(ServicePort(port=80, target="grpc"),)), READY),
    ],
    ids=["other-namespace", "other-labels", "has-to-be-ready-for-a-while", "no-such-port"],
)
def test_nobody_serves_what_does_not_select_it(service: ServiceRoutes, replica: LocalReplica):
    assert not any(port.targets for port in live(service, place(r=replica)).ports)


def test_what_the_table_says_of_a_replica_counts():
    end = Endpoint(replica="r", node="n1", address="10.5.0.2", port=8080, draining=True)
    service = replace(WEB, ports=(ServicePort(port=80, target="http", endpoints=(end,)),))

    (port,) = live(service, place(r=READY)).ports

    assert (port.targets, len(port.draining)) == ((), 1)


def test_a_service_is_looked_at_again_for_newcomers_and_when_they_are_none_any_more():
    eyes, rotation = Eyes(), Rotation()
    routes = Routes(generation=1, services={"default/web": WEB})

    def serving(**replicas: LocalReplica) -> set[ReplicaUid | str]:
        view = rotation.view(routes, eyes.place(replicas))
        return {t.replica for port in view.services["default/web"].ports for t in port.targets}

    assert serving(r=UNREADY) == set()
    assert serving(r=READY) == {"r"}
    assert serving(r=replace(READY, address="10.5.0.3")) == {"r"}
    eyes.now += SECONDS
    assert serving(r=replace(READY, address="10.5.0.3")) == set()

"""When a generation is confirmed, what is told, and what happens without the control plane."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.sandboxes import wait_for
from worker.gateway.gateway import Gateway
from worker.gateway.live import LocalReplica, Place
from worker.gateway.nftables import CannotRoute
from worker.gateway.rotation import View
from worker.gateway.table import RouteStore
from worker.routes import Endpoint, RoutingTable, ServicePort, ServiceRoutes


class Recorder:
    """A way of routing that notes what it is asked, and refuses when told to."""

    name = "recorder"

    def __init__(self) -> None:
        self.views: list[View] = []
        self.refuses = ""
        self.occupied: frozenset[str] = frozenset()

    def carry_out(self, view: View) -> None:
        if self.refuses:
            raise CannotRoute(self.refuses)
        self.views.append(view)

    def settle(self, view: View) -> None:
        pass

    def check(self) -> bool:
        return True

    def awaited(self) -> frozenset[str]:
        return frozenset()

    def busy(self, view: View) -> frozenset[str]:
        del view
        return self.occupied

    def notes(self) -> tuple[str, ...]:
        return ("it pretends",)

    def close(self) -> None:
        pass


class Site:
    """A gateway over a recorder; `replicas` are those its agent knows."""

    def __init__(self, path: Path) -> None:
        self.way = Recorder()
        self.store = RouteStore(path / "routes.sqlite3")
        self.told = 0
        self.replicas = {"r": LocalReplica(namespace="default", address="10.5.0.2", ready=True)}
        self.gateway = Gateway(self.store, (self.way,), look=self.look, tell=self.tell)

    def look(self) -> Place:
        return Place(node="n1", replicas=self.replicas, has_looked=True)

    def tell(self) -> None:
        self.told += 1

    def in_rotation(self) -> list[str]:
        ports = self.way.views[-1].services["default/web"].ports
        return [target.replica for port in ports for target in port.targets]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.store.close()


def a_table(generation: int = 3, *, draining: bool = False) -> RoutingTable:
    end = Endpoint(replica="r", node="n1", address="10.5.0.2", port=8080, draining=draining)
    ports = (ServicePort(port=80, endpoints=(end,)),)
    service = ServiceRoutes(namespace="default", name="web", ports=ports)
    return RoutingTable(generation=generation, services=(service,))


def test_a_generation_is_confirmed_once_it_is_carried_out(site: Site):
    site.gateway.take(a_table())
    before = site.gateway.status.generation

    site.gateway.run_once()

    assert (before, site.gateway.status.generation) == (0, 3)
    assert (site.in_rotation(), site.told) == (["r"], 1)


def test_what_a_way_refuses_is_said_and_not_confirmed(site: Site):
    site.way.refuses = "the kernel refuses rules"
    site.gateway.take(a_table())

    site.gateway.run_once()

    assert site.gateway.status.generation == 0
    assert site.gateway.status.message == "the kernel refuses rules; it pretends"


def test_it_is_confirmed_when_the_way_has_recovered(site: Site):
    site.way.refuses = "for now"
    site.gateway.take(a_table())
    site.gateway.run_once()

    site.way.refuses = ""
    site.gateway.run_once()

    assert site.gateway.status.generation == 3
    assert site.gateway.status.message == "it pretends"


def test_a_repeated_message_is_told_again_and_does_nothing(site: Site):
    site.gateway.take(a_table())
    site.gateway.run_once()

    site.gateway.take(a_table(generation=2))

    assert site.told == 2
    assert site.gateway.status.generation == 3


def test_a_death_leaves_rotation_without_the_control_plane(site: Site):
    site.gateway.take(a_table())
    site.gateway.run_once()

    site.replicas["r"] = LocalReplica(namespace="default")
    site.gateway.run_once()

    assert site.in_rotation() == []


def test_a_draining_replica_is_busy_until_its_connections_have_ended(site: Site):
    site.way.occupied = frozenset({"r"})
    site.gateway.take(a_table(draining=True))
    site.gateway.run_once()
    during = site.gateway.status.busy

    site.way.occupied = frozenset()
    wait_for(lambda: site.gateway.run_once() or not site.gateway.status.busy)

    assert (during, site.gateway.status.busy, site.told) == (("r",), (), 2)


def test_a_generation_is_not_confirmed_with_a_look_from_before_it_was_in_force(site: Site):
    site.gateway.take(a_table(generation=2))
    site.gateway.run_once()
    site.way.refuses = "for now"
    site.gateway.take(a_table(generation=3, draining=True))
    site.gateway.run_once()

    site.way.refuses, site.way.occupied = "", frozenset({"r"})
    site.gateway.run_once()

    assert (site.gateway.status.generation, site.gateway.status.busy) == (3, ("r",))


def test_a_restarted_agent_routes_before_it_hears_anything(site: Site, tmp_path: Path):
    site.gateway.take(a_table())

    again = Site(tmp_path)
    again.gateway.run_once()

    assert (again.in_rotation(), again.gateway.status.generation) == (["r"], 3)
    again.store.close()


def test_whoever_becomes_ready_serves_here_until_the_control_plane_has_spoken(site: Site):
    selector, labels = (("app", "web"),), frozenset({("app", "web")})
    ports = (ServicePort(port=80, target="8080"),)
    service = ServiceRoutes(namespace="default", name="web", selector=selector, ports=ports)
    unready = replace(site.replicas["r"], ready=False, labels=labels)
    site.replicas = {"r": unready}
    site.gateway.take(RoutingTable(generation=3, services=(service,)))
    site.gateway.run_once()
    site.replicas = {"r": replace(unready, ready=True)}
    site.gateway.run_once()
    early = site.in_rotation()

    # Named and taken out again between two looks.
    site.gateway.take(replace(a_table(generation=4), base=3))
    site.gateway.take(RoutingTable(generation=5, base=4, services=(service,)))
    site.gateway.run_once()

    assert (early, site.in_rotation()) == (["r"], [])

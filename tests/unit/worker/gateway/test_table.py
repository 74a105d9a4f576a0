"""The routes in force: what is carried out, what is not, and what a restart finds."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from worker.gateway.table import Routes, RouteStore, merged
from worker.routes import Certificate, Endpoint, IngressRoutes, RoutingTable, ServicePort
from worker.routes import ServiceRoutes as Service


def a_service(name: str = "web", *, port: int = 80) -> Service:
    end = Endpoint(replica="r", node="n1", address="10.5.0.2", port=8080)
    ports = (ServicePort(port=port, endpoints=(end,)),)
    return Service(namespace="default", name=name, addresses=("10.97.0.1",), ports=ports)


def an_ingress() -> IngressRoutes:
    certificate = Certificate(hosts=("a.example",), chain="chain", key="secret")
    return IngressRoutes(namespace="default", name="edge", certificates=(certificate,))


def whole(generation: int, *services: Service, **fields) -> RoutingTable:
    return RoutingTable(generation=generation, services=services, **fields)


def begun() -> Routes:
    routes = merged(Routes(), whole(5, a_service(), a_service("api"), ingresses=(an_ingress(),)))
    assert routes is not None
    return routes


def test_a_whole_table_leaves_nothing_of_the_one_before():
    after = merged(begun(), whole(6, a_service("db"), peers=("10.6.0.2",)))

    assert after is not None
    assert (list(after.services), list(after.ingresses)) == (["default/db"], [])
    assert (after.generation, after.peers) == (6, ("10.6.0.2",))


def test_a_change_replaces_and_removes_by_name():
    change = RoutingTable(
        generation=7,
        base=4,
        services=(a_service(port=81),),
        removed_services=("default/api",),
        removed_ingresses=("default/edge",),
    )

    after = merged(begun(), change)

    assert after is not None
    assert {name: s.ports[0].port for name, s in after.services.items()} == {"default/web": 81}
    assert not after.ingresses


@pytest.mark.parametrize(
    ("generation", "base", "is_carried_out"),
    [
        pytest.param(4, None, False, id="an-older-table"),
        pytest.param(5, None, True, id="the-same-table-again"),
        pytest.param(5, 5, False, id="a-change-that-is-in-force"),
        pytest.param(8, 6, False, id="a-change-that-begins-later"),
        pytest.param(8, 3, True, id="a-change-that-began-earlier"),
    ],
)
def test_only_what_fits_is_carried_out(generation: int, base: int | None, *, is_carried_out: bool):
    after = merged(begun(), RoutingTable(generation=generation, base=base))

    assert (after is not None) is is_carried_out


def test_what_did_not_change_is_the_very_same_object():
    before = begun()

    after = merged(before, whole(6, a_service(), a_service("api", port=81)))

    assert after is not None
    assert after.services["default/web"] is before.services["default/web"]
    assert after.services["default/api"] is not before.services["default/api"]


def test_a_restart_finds_what_was_stored(tmp_path: Path):
    store = RouteStore(tmp_path / "routes.sqlite3")
    first = begun()
    store.save(Routes(), first)
    second = merged(first, RoutingTable(generation=6, base=5, removed_services=("default/api",)))
    assert second is not None
    store.save(first, second)
    store.close()

    again = RouteStore(tmp_path / "routes.sqlite3")

    assert again.load() == second
    again.close()


def test_only_its_owner_may_read_the_keys_in_the_file(tmp_path: Path):
    RouteStore(tmp_path / "routes.sqlite3").close()

    assert stat.S_IMODE((tmp_path / "routes.sqlite3").stat().st_mode) == 0o600


def test_a_damaged_file_is_begun_anew(tmp_path: Path):
    (tmp_path / "routes.sqlite3").write_bytes(b"no database " * 100)

    store = RouteStore(tmp_path / "routes.sqlite3")

    assert store.load() == Routes()
    store.close()

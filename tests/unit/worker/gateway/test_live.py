"""Who is in rotation, as seen from one node that knows its own replicas."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from worker.gateway.live import LivePort, LocalReplica, Place, Target, live
from worker.gateway.rotation import Rotation
from worker.gateway.table import Routes
from worker.routes import Endpoint, ServicePort, ServiceRoutes

READY = LocalReplica(namespace="default", address="10.5.0.2", ready=True)


def an_endpoint(**fields) -> Endpoint:
    values = {"replica": "r", "node": "n1", "address": "10.5.0.2", "port": 8080}
    return Endpoint(**values | fields)


def a_place(replicas: Mapping[str, LocalReplica | None], **fields) -> Place:
    values = {"node": "n1", "address": "10.6.0.1", "has_looked": True}
    return Place(replicas=replicas, **values | fields)


def a_service(*endpoints: Endpoint) -> ServiceRoutes:
    ports = (ServicePort(port=80, endpoints=endpoints),)
    return ServiceRoutes(namespace="default", name="web", addresses=("10.97.0.1",), ports=ports)


def seen(endpoint: Endpoint, place: Place) -> LivePort:
    return live(a_service(endpoint), place).ports[0]


@pytest.mark.parametrize(
    ("known", "is_in_rotation"),
    [
        pytest.param({"r": READY}, True, id="ready"),
        pytest.param({"r": LocalReplica(namespace="d", address="10.5.0.2")}, False, id="unready"),
        pytest.param({"r": LocalReplica(namespace="d")}, False, id="dead"),
        pytest.param({"r": None}, True, id="nobody-knows"),
        pytest.param({}, False, id="gone"),
    ],
)
def test_what_this_node_knows_outweighs_the_table(
    known: Mapping[str, LocalReplica | None], *, is_in_rotation: bool
):
    port = seen(an_endpoint(), a_place(known))

    assert bool(port.targets) is is_in_rotation


def test_before_the_agent_has_looked_the_table_is_believed():
    port = seen(an_endpoint(), a_place({}, has_looked=False))

    assert port.targets == (Target(replica="r", address="10.5.0.2", port=8080),)


def test_a_replica_that_came_back_is_dialled_at_its_new_address():
    moved = LocalReplica(namespace="default", address="10.5.0.9", ready=True)

    port = seen(an_endpoint(), a_place({"r": moved}))

    assert [target.address for target in port.targets] == ["10.5.0.9"]


def test_a_sandbox_is_dialled_where_containers_can_reach_it():
    known = LocalReplica(namespace="d", address="127.0.0.1", ports=frozenset({4711}), ready=True)

    port = seen(an_endpoint(address="127.0.0.1", port=4711), a_place({"r": known}))

    assert [(t.address, t.port) for t in port.targets] == [("10.6.0.1", 4711)]


def test_a_sandbox_with_another_port_than_told_waits_for_the_control_plane():
    known = LocalReplica(namespace="d", address="127.0.0.1", ports=frozenset({4712}), ready=True)

    port = seen(an_endpoint(address="127.0.0.1", port=4711), a_place({"r": known}))

    assert port.targets == ()


def test_another_node_s_replica_is_dialled_through_its_relay():
    far = an_endpoint(node="n2", node_address="10.6.0.2", relay_port=20001)

    port = seen(far, a_place({}))

    relay = Target(replica="r", address="10.6.0.2", port=20001, is_remote=True)
    assert port.targets == (relay,)


def test_a_replica_of_another_node_on_this_machine_is_dialled_directly():
    near = an_endpoint(node="n2", node_address="10.6.0.1", relay_port=20001)

    port = seen(near, a_place({}, is_local=lambda address: address == "10.6.0.1"))

    assert [(t.address, t.is_remote) for t in port.targets] == [("10.5.0.2", False)]


def test_what_drains_gets_nothing_new_but_is_still_relayed_for_others():
    port = seen(an_endpoint(draining=True, relay_port=20001), a_place({"r": READY}))

    end = Target(replica="r", address="10.5.0.2", port=8080)
    assert (port.targets, port.draining, port.relays) == ((), (end,), ((20001, end),))


def test_a_service_that_says_the_same_stays_the_same_object():
    rotation = Rotation()
    routes = Routes(generation=1, services={"default/web": a_service(an_endpoint())})
    before = rotation.view(routes, a_place({"r": READY}))

    after = rotation.view(routes, a_place({"r": READY}), afresh=True)

    assert after.services["default/web"] is before.services["default/web"]


def test_a_death_is_seen_in_the_next_look():
    rotation = Rotation()
    routes = Routes(generation=1, services={"default/web": a_service(an_endpoint())})
    rotation.view(routes, a_place({"r": READY}))

    after = rotation.view(routes, a_place({"r": LocalReplica(namespace="default")}))

    assert after.services["default/web"].ports[0].targets == ()

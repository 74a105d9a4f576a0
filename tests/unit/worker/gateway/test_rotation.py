"""What is in rotation on a node: looked at again only where something may have changed."""

from __future__ import annotations

from worker.gateway.live import LocalReplica, Place
from worker.gateway.rotation import Rotation
from worker.gateway.table import Routes
from worker.protocol import ReplicaUid
from worker.routes import Endpoint, ServicePort, ServiceRoutes

HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"
READY = LocalReplica(namespace="default", address="172.17.0.2", ready=True)


def a_service(name: str) -> ServiceRoutes:
    """Return one with a replica of its own here, and one on another node."""
    ends = tuple(
        Endpoint(
            replica=ReplicaUid(f"{name}-{node}"),
            node=node,
            address="172.17.0.2",
            port=80,
            node_address=address,
            relay_port=20000,
        )
        for node, address in (("here", HERE), ("there", ELSEWHERE))
    )
    return ServiceRoutes(
        namespace="default", name=name, ports=(ServicePort(port=80, endpoints=ends),)
    )


ROUTES = Routes(generation=1, services={f"default/{n}": a_service(n) for n in ("web", "api")})


class Looks:
    """Counts for how many endpoints of other nodes it is asked where they are."""

    def __init__(self) -> None:
        self.count = 0

    def is_local(self, _address: str) -> bool:
        self.count += 1
        return False


def test_only_services_whose_replicas_changed_are_looked_at_again():
    looks, rotation = Looks(), Rotation()
    both = {"web-here": READY, "api-here": READY}
    rotation.view(ROUTES, Place(node="here", is_local=looks.is_local, replicas=both))
    first = looks.count

    dead = {**both, "web-here": LocalReplica(namespace="default")}
    view = rotation.view(ROUTES, Place(node="here", is_local=looks.is_local, replicas=dead))

    assert (first, looks.count) == (2, 3)
    serving = {name: {t.replica for t in s.ports[0].targets} for name, s in view.services.items()}
    assert serving["default/web"] == {"web-there"}
    assert serving["default/api"] == {"api-here", "api-there"}


def test_a_replica_that_is_gone_from_the_node_leaves_rotation():
    rotation = Rotation()
    rotation.view(ROUTES, Place(node="here", replicas={"web-here": READY}, has_looked=True))

    view = rotation.view(ROUTES, Place(node="here", replicas={}, has_looked=True))

    assert [t.replica for t in view.services["default/web"].ports[0].targets] == ["web-there"]


def test_everything_is_looked_at_again_when_asked():
    looks, rotation = Looks(), Rotation()
    place = Place(node="here", is_local=looks.is_local, replicas={})
    rotation.view(ROUTES, place)

    rotation.view(ROUTES, place, afresh=True)

    assert looks.count == 4


def test_everything_is_looked_at_again_when_all_replicas_are_known():
    rotation = Rotation()
    rotation.view(ROUTES, Place(node="here", replicas={}))

    view = rotation.view(ROUTES, Place(node="here", replicas={}, has_looked=True))

    assert [t.replica for t in view.services["default/api"].ports[0].targets] == ["api-there"]


def test_what_says_the_same_is_the_same_object():
    rotation = Rotation()
    before = rotation.view(ROUTES, Place(node="here", replicas={"web-here": READY}))

    after = rotation.view(ROUTES, Place(node="here", replicas={"web-here": READY}), afresh=True)

    assert all(after.services[name] is look for name, look in before.services.items())

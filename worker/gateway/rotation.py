"""What is in rotation here: the routes in force, seen with what this node knows of its replicas.

Only what may have changed is looked at again, and what says the same stays the very same object,
so that a change of one service costs as much with a thousand others as alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from worker.gateway.live import LOOPBACK, LiveService, Place, Target, live
from worker.gateway.table import Routes
from worker.routes import IngressRoutes, ServiceRoutes


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that the ways of routing need; `homes` maps addresses of replicas to namespaces."""

    generation: int = 0
    services: Mapping[str, LiveService] = field(default_factory=dict)
    ingresses: Mapping[str, IngressRoutes] = field(default_factory=dict)
    peers: tuple[str, ...] = ()
    open_namespaces: frozenset[str] = frozenset()
    homes: Mapping[str, str] = field(default_factory=dict)

    def draining(self) -> Iterable[Target]:
        """Yield where connections go that are to end by themselves."""
        for service in self.services.values():
            for port in service.ports:
                yield from port.draining


class Rotation:
    """Remembers each service's latest look."""

    def __init__(self) -> None:
        self._looks: dict[str, tuple[ServiceRoutes, LiveService]] = {}

    def view(self, routes: Routes, place: Place, *, afresh: bool = False) -> View:
        """Return what is in rotation; `afresh` looks at everything again."""
        looks = {
            name: self._look(name, service, place, afresh=afresh)
            for name, service in routes.services.items()
        }
        self._looks = looks
        return View(
            generation=routes.generation,
            services={name: look for name, (_, look) in looks.items()},
            ingresses=routes.ingresses,
            peers=routes.peers,
            open_namespaces=frozenset(routes.open_namespaces),
            homes=_homes(place),
        )

    def _look(
        self, name: str, service: ServiceRoutes, place: Place, *, afresh: bool
    ) -> tuple[ServiceRoutes, LiveService]:
        known = self._looks.get(name)
        if known is None:
            return service, live(service, place)
        if known[0] is service and not afresh and not _concerns(service, place):
            return known
        look = live(service, place)
        return service, known[1] if look == known[1] else look


def _concerns(service: ServiceRoutes, place: Place) -> bool:
    return any(e.node == place.node for port in service.ports for e in port.endpoints)


def _homes(place: Place) -> dict[str, str]:
    return {
        replica.address: replica.namespace
        for replica in place.replicas.values()
        if replica is not None and replica.address not in {"", LOOPBACK}
    }

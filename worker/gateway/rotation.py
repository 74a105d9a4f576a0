"""What is in rotation here: the routes in force, seen with what this node knows of its replicas.

Only what may have changed is looked at again, and what says the same stays the very same object,
so that a change of one service costs as much with a thousand others as alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace

from worker.gateway.live import LOOPBACK, LiveService, Place, Target, live, newcomers_of
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
    """Remembers each service's latest look, and what was known of this node's replicas then."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}
        self._place: Place | None = None

    def view(self, routes: Routes, place: Place, *, afresh: bool = False) -> View:
        """Return what is in rotation; `afresh` looks at everything again."""
        changed = _changed(self._place, place)
        looks = {
            name: self._look(name, service, place, None if afresh else changed)
            for name, service in routes.services.items()
        }
        self._looks = looks
        self._place = replace(place, replicas=dict(place.replicas))
        return View(
            generation=routes.generation,
            services={name: look.live for name, look in looks.items()},
            ingresses=routes.ingresses,
            peers=routes.peers,
            open_namespaces=frozenset(routes.open_namespaces),
            homes=_homes(place),
        )

    def _look(
        self, name: str, service: ServiceRoutes, place: Place, changed: Set[str] | None
    ) -> _Look:
        known = self._looks.get(name)
        newcomers = frozenset(uid for uid, _ in newcomers_of(service, place))
        if known is not None and known.service is service:
            concerned = known.replicas | known.newcomers
            is_same = changed is not None and concerned.isdisjoint(changed)
            if is_same and newcomers == known.newcomers:
                return known
            replicas = known.replicas
        else:
            replicas = _replicas(service, place)
        seen = live(service, place)
        if known is not None and seen == known.live:
            seen = known.live
        return _Look(service=service, live=seen, replicas=replicas, newcomers=newcomers)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """How a service looked, which of its replicas are on this node, and who of them came early."""

    service: ServiceRoutes
    live: LiveService
    replicas: frozenset[str]
    newcomers: frozenset[str]


def _replicas(service: ServiceRoutes, place: Place) -> frozenset[str]:
    ends = (end for port in service.ports for end in port.endpoints)
    return frozenset(end.replica for end in ends if end.node == place.node)


def _changed(before: Place | None, now: Place) -> Set[str] | None:
    """Return the replicas of which something else is known now; None where that may be of all."""
    if before is None or (before.address, before.has_looked) != (now.address, now.has_looked):
        return None
    return {uid for uid, _ in before.replicas.items() ^ now.replicas.items()}


def _homes(place: Place) -> dict[str, str]:
    return {
        replica.address: replica.namespace
        for replica in place.replicas.values()
        if replica is not None and replica.address not in {"", LOOPBACK}
    }

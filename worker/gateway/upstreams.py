"""Names under which the HTTP gateway asks who serves: one for each route, and one for each end.

Caddy looks a route's name up every few milliseconds while it has requests, so endpoints change
without a change of its configuration, which would close its clients' idle connections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from worker.gateway.end_names import route_name
from worker.gateway.live import LOOPBACK, LiveService, Target
from worker.gateway.rotation import View
from worker.gateway.rules import digest
from worker.routes import HttpRoute, IngressRoutes

# Stands for an endpoint that nobody can dial, so that requests wait for another.
NOBODY = Target(replica="", address="", port=9)


def name_of(ingress: IngressRoutes, route: HttpRoute) -> str:
    """Return the name of a route, which is the same whether it is held or not."""
    return route_name(digest(ingress.namespace, ingress.name, route.host, route.match, route.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstreams:
    """Who serves each route now, and for how long the requests of some are held before that.

    `asleep` are the held routes that nobody serves until the control plane hears of a request, with
    their services (`namespace/name`).
    """

    targets: Mapping[str, tuple[Target, ...]] = field(default_factory=dict)
    held: Mapping[str, int] = field(default_factory=dict)
    asleep: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, view: View) -> Upstreams:
        """Return who serves the routes of a view."""
        pairs = [
            (name_of(ingress, route), ingress, route)
            for ingress in view.ingresses.values()
            for route in ingress.routes
        ]
        targets = {name: _targets(view, ingress, route) for name, ingress, route in pairs}
        asleep = {
            name: f"{ingress.namespace}/{route.service}"
            for name, ingress, route in pairs
            if route.wakes and targets[name] == (NOBODY,)
        }
        held = {
            name: route.hold_seconds for name, _, route in pairs if route.held or name in asleep
        }
        return cls(targets=targets, held=held, asleep=asleep)

    def through(self, doors: Mapping[str, int]) -> Upstreams:
        """Return the same with held routes leading to their doors, ports of the loopback."""
        waiting = {
            name: (Target(replica="", address=LOOPBACK, port=port),) for name, port in doors.items()
        }
        return replace(self, targets={**self.targets, **waiting})

    def ends(self, name: str) -> tuple[tuple[str, int], ...]:
        """Return where those who serve a route are dialled."""
        return tuple((t.address, t.port) for t in self.targets.get(name, ()) if t != NOBODY)


def _targets(view: View, ingress: IngressRoutes, route: HttpRoute) -> tuple[Target, ...]:
    service = view.services.get(f"{ingress.namespace}/{route.service}")
    return _of_port(service, route.port) or (NOBODY,)


def _of_port(service: LiveService | None, number: int) -> tuple[Target, ...]:
    ports = service.ports if service is not None else ()
    return next((port.targets for port in ports if port.port == number), ())

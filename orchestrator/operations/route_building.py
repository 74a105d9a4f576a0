"""From services, ingresses and replicas to what gateways are told: the one place that knows both.

Keys of certificates are not in it: they are put in when a letter is sealed for its node.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.core.rotation import Candidate, Place, Standing, place_of, port_of
from orchestrator.manifests import traffic
from orchestrator.models import Secret, Service, ServicePort
from orchestrator.queries import endpoints
from worker import protocol, routes

Json = dict[str, Any]
# Returns the port of a candidate's node at which other nodes reach one of its ports.
Relays = Callable[[Candidate, int, str], int | None]


def service_routes(
    service: Service,
    ports: Sequence[ServicePort],
    candidates: Sequence[Candidate],
    relays: Relays,
    now: datetime,
) -> Json:
    """Return one service as it is now."""
    standing = {candidate.uid: place_of(candidate, now=now) for candidate in candidates}
    inside = [one for one in candidates if standing[one.uid].standing is not Standing.OUT]
    told_ports = tuple(
        routes.ServicePort(
            port=port.number,
            target=port.target,
            name=port.name,
            protocol=port.protocol,
            node_port=port.node_port,
            endpoints=tuple(_endpoints(port, inside, standing, relays)),
        )
        for port in ports
    )
    spec = service.manifest["spec"]
    must_wait = any(candidate.min_ready_seconds for candidate in candidates)
    told = routes.ServiceRoutes(
        namespace=service.namespace_id,
        name=service.name,
        selector=() if must_wait else endpoints.selector_of(service),
        addresses=tuple(str(a) for a in (service.address, service.address6) if a),
        affinity_seconds=_affinity(spec),
        ports=told_ports,
    )
    return protocol.to_wire(told)


def standings(told: Json) -> dict[str, Standing]:
    """Return where each replica of a service stands, by what gateways are told of it."""
    return {
        one["replica"]: Standing.DRAINING if one.get("draining") else Standing.SERVING
        for port in told.get("ports", ())
        for one in port.get("endpoints", ())
    }


def _endpoints(
    port: ServicePort,
    inside: Sequence[Candidate],
    standing: Mapping[str, Place],
    relays: Relays,
) -> Iterator[routes.Endpoint]:
    for candidate in sorted(inside, key=lambda one: one.uid):
        number = port_of(candidate, target_of(port))
        if number is not None:
            yield routes.Endpoint(
                replica=protocol.ReplicaUid(candidate.uid),
                node=str(candidate.node),
                address=candidate.address,
                port=number,
                node_address=candidate.node_address,
                relay_port=relays(candidate, number, port.protocol),
                draining=standing[candidate.uid].standing is Standing.DRAINING,
            )


def target_of(port: ServicePort) -> int | str:
    """Return the replica's port that a service's port leads to: a number or a name."""
    return int(port.target) if port.target.isdecimal() else port.target


def _affinity(spec: Json) -> int | None:
    if spec.get("sessionAffinity") != "ClientIP":
        return None
    config = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    return int(config.get("timeoutSeconds") or 10800)


def ingress_routes(
    full: Json,
    services: Mapping[str, Json],
    secrets: Mapping[str, Secret],
    waking: Container[str] = (),
) -> Json:
    """Return one ingress as it is now, of its completed manifest.

    `services` are the completed manifests of its namespace's services by name; what leads to a
    service or port that is gone is left out. In place of a key stands the name of its secret.
    Requests for a service of `waking` wait while nobody serves it.
    """
    metadata, spec = full["metadata"], full["spec"]
    found = tuple(_http_routes(full, services, waking))
    entries = spec.get("tls") or ()
    told = routes.IngressRoutes(
        namespace=metadata["namespace"],
        name=metadata["name"],
        routes=found,
        certificates=tuple(
            routes.Certificate(hosts=tuple(entry["hosts"]), chain=secret.chain, key=secret.name)
            for entry in entries
            if (secret := secrets.get(entry.get("secretName", ""))) is not None
        ),
        automatic_hosts=tuple(
            host for entry in entries if "secretName" not in entry for host in entry["hosts"]
        ),
    )
    return protocol.to_wire(told)


def _http_routes(
    full: Json, services: Mapping[str, Json], waking: Container[str]
) -> Iterator[routes.HttpRoute]:
    spec, notes = full["spec"], full["metadata"].get("annotations") or {}
    backends = traffic.backends_of(spec)
    for (claim, _), backend in zip(traffic.claims(spec, ()), backends, strict=True):
        service = services.get(backend["name"])
        port = traffic.port_of(service, backend["port"]) if service else None
        if port is not None:
            host, path, match = claim
            yield routes.HttpRoute(
                host=host,
                path=path,
                match=routes.PathMatch(match),
                service=backend["name"],
                port=port,
                sticky=notes.get(traffic.STICKY) == "true",
                held=notes.get(traffic.HOLD) == "true",
                wakes=backend["name"] in waking,
                hold_seconds=int(notes.get(traffic.HOLD_SECONDS, 60)),
                timeout_seconds=int(notes.get(traffic.TIMEOUT, 0)),
            )

"""One renewal of routes, under their lock: compare what should be told with what is, save it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from orchestrator.core.rotation import Standing
from orchestrator.manifests.manifest import from_object
from orchestrator.models import Endpoint, Ingress, RouteEntry, Routing, Secret, Service
from orchestrator.operations import announce
from orchestrator.operations.relay_ports import RelayPorts
from orchestrator.operations.route_building import Json, ingress_routes, service_routes
from orchestrator.queries import endpoints, route_sources, sleepers
from orchestrator.queries.route_sources import Key

Row = TypeVar("Row", RouteEntry, Endpoint)
Standings = Mapping[str, Standing]
FEW = 3
_ENTRY_FIELDS = ("source", "generation", "removed", "removed_at", "payload")


class Renewal:
    """Changes routes with one generation; the caller holds the row of `Routing`."""

    def __init__(self, routing: Routing, now: datetime) -> None:
        self._routing = routing
        self._now = max(now, routing.changed_at or now)
        self._next = routing.generation + 1
        self._changed = False
        self._touched: set[RouteEntry] = set()

    def nodes(self) -> None:
        """Take who the nodes are now; where that is news, all routes to replicas are renewed."""
        peers = route_sources.peers()
        if peers != self._routing.peers:
            self._routing.peers = peers
            self._changed = True
            self.services(list(Service.objects.prefetch_related("ports")))

    def openness(self) -> None:
        """Take which namespaces are open now."""
        found = route_sources.open_namespaces()
        if found != self._routing.open_namespaces:
            self._routing.open_namespaces = found
            self._changed = True

    def services(self, rows: Sequence[Service]) -> None:
        """Bring the routes of services up to date."""
        if not rows:
            return
        entries = _entries(RouteEntry.SERVICE, rows)
        found = endpoints.candidates(rows)
        uids = {candidate.uid for some in found.values() for candidate in some}
        relays = RelayPorts(uids, needed=len(self._routing.peers) > 1)
        standings: dict[tuple[str, str], Standings] = {}
        for row in rows:
            key = (row.namespace_id, row.name)
            built = service_routes(row, found[row.pk], relays, self._now)
            if self._tell(entries[key], route_sources.source_of(row), built.payload):
                standings[key] = built.standings
        relays.save()
        self._save(entries.values())
        self._stand({entries[key].pk: one for key, one in standings.items()})

    def ingresses(self, rows: Sequence[Ingress]) -> None:
        """Bring the routes of ingresses up to date."""
        if not rows:
            return
        entries = _entries(RouteEntry.INGRESS, rows)
        spaces = {row.namespace_id for row in rows}
        services: dict[str, dict[str, Json]] = defaultdict(dict)
        for service in Service.objects.filter(namespace__name__in=spaces):
            services[service.namespace_id][service.name] = from_object(service.manifest).full
        secrets: dict[str, dict[str, Secret]] = defaultdict(dict)
        for secret in Secret.objects.filter(namespace__name__in=spaces):
            secrets[secret.namespace_id][secret.name] = secret
        sources = route_sources.of_ingresses(spaces)
        waking = sleepers.waking(spaces)
        for row in rows:
            space, key = row.namespace_id, (row.namespace_id, row.name)
            full = from_object(row.manifest).full
            sleepy = {service for room, service in waking if room == space}
            payload = ingress_routes(full, services[space], secrets[space], sleepy)
            self._tell(entries[key], sources[key], payload)
        self._save(entries.values())

    def remove(self, keys: Collection[Key]) -> None:
        """Take away the routes of what is gone."""
        for kind, namespace, name in keys:
            rows = RouteEntry.objects.filter(kind=kind, namespace=namespace, name=name)
            entry = rows.filter(removed=False).first()
            if entry is not None:
                entry.removed, entry.removed_at, entry.payload = True, self._now, {}
                entry.source, entry.generation = "", self._next
                entry.save()
                self._changed = True
                self._stand({entry.pk: {}})

    def finish(self) -> int | None:
        """Save the generation; return it, or None when nothing is to be told."""
        if not self._changed:
            return None
        self._routing.generation = self._next
        self._routing.changed_at = self._now
        self._routing.save(update_fields=["generation", "peers", "open_namespaces", "changed_at"])
        announce.changed(announce.TRAFFIC_TOPIC)
        return self._next

    def _tell(self, entry: RouteEntry, source: str, payload: Json) -> bool:
        """Make an entry say this; return whether gateways have to be told."""
        is_news = entry.pk is None or entry.removed or entry.payload != payload
        if entry.pk is not None and (is_news or entry.source != source):
            self._touched.add(entry)
        if is_news:
            entry.payload, entry.generation = payload, self._next
            entry.removed, entry.removed_at = False, None
            self._changed = True
        entry.source = source
        return is_news

    def _save(self, entries: Iterable[RouteEntry]) -> None:
        made = [entry for entry in entries if entry.pk is None]
        changed = [entry for entry in entries if entry.pk is not None and entry in self._touched]
        RouteEntry.objects.bulk_create(made)
        _update(changed, _ENTRY_FIELDS)

    def _stand(self, standings: Mapping[int, Standings]) -> None:
        """Note where each replica stands now behind the entries, by their ids."""
        known: dict[int, dict[str, Endpoint]] = defaultdict(dict)
        for row in Endpoint.objects.filter(entry__in=standings):
            known[row.entry_id][row.replica_uid] = row
        made: list[Endpoint] = []
        changed: list[Endpoint] = []
        for pk, inside in standings.items():
            everybody = {**dict.fromkeys(known[pk], Standing.OUT), **inside}
            for uid, standing in everybody.items():
                row = known[pk].get(uid) or Endpoint(entry_id=pk, replica_uid=uid)
                if row.standing != standing:
                    row.standing, row.generation = standing, self._next
                    (made if row.pk is None else changed).append(row)
        Endpoint.objects.bulk_create(made)
        _update(changed, ("standing", "generation"))


def _update(rows: Sequence[Row], fields: Sequence[str]) -> None:
    """Save these fields of rows; a few cost less one by one, as most changes are of one."""
    if len(rows) <= FEW:
        for row in rows:
            row.save(update_fields=fields)
    else:
        type(rows[0]).objects.bulk_update(rows, fields, batch_size=200)


def _entries(
    kind: str, rows: Sequence[Service] | Sequence[Ingress]
) -> dict[tuple[str, str], RouteEntry]:
    """Return the entries of these objects by namespace and name; missing ones are not saved."""
    spaces, names = {row.namespace_id for row in rows}, {row.name for row in rows}
    known = RouteEntry.objects.filter(kind=kind, namespace__in=spaces, name__in=names)
    found = {(entry.namespace, entry.name): entry for entry in known}
    keys = [(row.namespace_id, row.name) for row in rows]
    return {
        key: found.get(key) or RouteEntry(kind=kind, namespace=key[0], name=key[1]) for key in keys
    }

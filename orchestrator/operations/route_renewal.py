"""One renewal of routes, under their lock: compare what should be told with what is, save it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from orchestrator.core.rotation import Standing
from orchestrator.manifests.manifest import from_object
from orchestrator.models import (
    Endpoint,
    Ingress,
    IngressPath,
    RouteEntry,
    Routing,
    Secret,
    Service,
)
from orchestrator.operations import announce, many_rows
from orchestrator.operations.relay_ports import RelayPorts
from orchestrator.operations.route_building import (
    Json,
    ingress_routes,
    service_routes,
    standings,
)
from orchestrator.queries import endpoints, route_sources, sleepers
from orchestrator.queries.route_sources import Key

_ENTRY_FIELDS = ("source", "generation", "removed", "removed_at", "payload")


class Renewal:
    """Changes routes with one generation; the caller holds the row of `Routing`."""

    def __init__(self, routing: Routing, now: datetime) -> None:
        self._routing = routing
        self._now = max(now, routing.changed_at or now)
        self._next = routing.generation + 1
        self._changed = False
        self._touched: set[RouteEntry] = set()

    def nodes(self) -> bool:
        """Take who the nodes are now; tell whether that is news for all services."""
        peers = route_sources.peers()
        is_news = bool(peers != self._routing.peers)
        self._routing.peers = peers
        self._changed = self._changed or is_news
        return is_news

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
        found, ports = endpoints.candidates(rows), endpoints.ports_of(rows)
        uids = {candidate.uid for some in found.values() for candidate in some}
        relays = RelayPorts(uids, needed=len(self._routing.peers) > 1)
        moved: dict[tuple[str, str], tuple[Json, Json]] = {}
        for row in rows:
            entry = entries[row.namespace_id, row.name]
            before = entry.payload
            payload = service_routes(row, ports[row.pk], found[row.pk], relays, self._now)
            if self._tell(entry, route_sources.source_of(row), payload):
                moved[row.namespace_id, row.name] = before, payload
        relays.save()
        self._save(entries.values())
        self._stand({entries[key].pk: both for key, both in moved.items()})

    def ingresses(self, rows: Sequence[Ingress]) -> None:
        """Bring the routes of ingresses up to date."""
        if not rows:
            return
        entries = _entries(RouteEntry.INGRESS, rows)
        spaces = {row.namespace_id for row in rows}
        led_to = IngressPath.objects.filter(ingress__in=rows).order_by().values("service")
        services: dict[str, dict[str, Json]] = defaultdict(dict)
        for service in Service.objects.filter(namespace__name__in=spaces, name__in=led_to):
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
                before = entry.payload
                entry.removed, entry.removed_at, entry.payload = True, self._now, {}
                entry.source, entry.generation = "", self._next
                entry.save()
                self._changed = True
                if kind == RouteEntry.SERVICE:
                    self._stand({entry.pk: (before, {})})

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
        many_rows.update(changed, _ENTRY_FIELDS)

    def _stand(self, moved: Mapping[int, tuple[Json, Json]]) -> None:
        """Note where each replica stands now behind entries, by their ids: as was told, and is."""
        rows = []
        for pk, (before, after) in moved.items():
            old, new = standings(before), standings(after)
            everybody = {**dict.fromkeys(old, Standing.OUT), **new}
            rows += [
                (pk, uid, str(standing), self._next)
                for uid, standing in everybody.items()
                if old.get(uid) is not standing
            ]
        fields = ("entry", "replica_uid", "standing", "generation")
        many_rows.insert(Endpoint, fields, rows, unique=fields[:2])


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

"""The routes in force: what the control plane sent, put together, and kept on disk.

Invariants: an older generation than the one in force changes nothing; what is stored is what a
restarted agent routes by before it hears anything.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from worker import protocol
from worker.routes import IngressRoutes, RoutingTable, ServiceRoutes

logger = logging.getLogger(__name__)

Entry = TypeVar("Entry", ServiceRoutes, IngressRoutes)

_SERVICE, _INGRESS = "service", "ingress"
_KINDS: dict[str, type[ServiceRoutes] | type[IngressRoutes]] = {
    _SERVICE: ServiceRoutes,
    _INGRESS: IngressRoutes,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routes:
    """A whole table; services and ingresses by `namespace/name`."""

    generation: int = 0
    services: Mapping[str, ServiceRoutes] = field(default_factory=dict)
    ingresses: Mapping[str, IngressRoutes] = field(default_factory=dict)
    peers: tuple[str, ...] = ()
    open_namespaces: tuple[str, ...] = ()


def merged(routes: Routes, message: RoutingTable) -> Routes | None:
    """Return the routes once a message is carried out; None when it must not be.

    A change holds the present entries of all that changed after its base, so it fits every
    generation between its base and its own.
    """
    if message.base is None:
        if message.generation < routes.generation:
            return None
        services: dict[str, ServiceRoutes] = {}
        ingresses: dict[str, IngressRoutes] = {}
    else:
        if not message.base <= routes.generation < message.generation:
            return None
        services = _without(routes.services, message.removed_services)
        ingresses = _without(routes.ingresses, message.removed_ingresses)
    services |= _kept(routes.services, message.services)
    ingresses |= _kept(routes.ingresses, message.ingresses)
    return Routes(
        generation=message.generation,
        services=services,
        ingresses=ingresses,
        peers=message.peers,
        open_namespaces=message.open_namespaces,
    )


def name_of(entry: ServiceRoutes | IngressRoutes) -> str:
    """Return the name of a service or an ingress in the whole cluster."""
    return f"{entry.namespace}/{entry.name}"


def _without(entries: Mapping[str, Entry], names: Iterable[str]) -> dict[str, Entry]:
    gone = set(names)
    return {name: entry for name, entry in entries.items() if name not in gone}


def _kept(before: Mapping[str, Entry], entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return entries by name; one that says what it said before is the very same object."""
    found: dict[str, Entry] = {}
    for entry in entries:
        name = name_of(entry)
        known = before.get(name)
        found[name] = known if known == entry else entry
    return found


class RouteStore:
    """An SQLite file that only its owner may read: it holds the keys of certificates."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError as error:
            # All of it comes again from the control plane, which is told that we have nothing.
            logger.warning("The stored routes are damaged and begun anew: %s", error)
            for suffix in ("", "-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = _open(path)

    def load(self) -> Routes:
        """Return what was stored; nothing at all when a part of it cannot be read."""
        with self._lock:
            rows = self._connection.execute("SELECT kind, name, body FROM entry").fetchall()
            meta = dict(self._connection.execute("SELECT name, body FROM meta").fetchall())
        if "generation" not in meta:
            return Routes()
        found: dict[str, dict[str, ServiceRoutes | IngressRoutes]] = {_SERVICE: {}, _INGRESS: {}}
        try:
            for kind, name, body in rows:
                found[kind][name] = protocol.from_wire(_KINDS[kind], json.loads(body))
            return Routes(
                generation=int(meta["generation"]),
                services=found[_SERVICE],  # type: ignore[arg-type]  # of its kind, by construction
                ingresses=found[_INGRESS],  # type: ignore[arg-type]  # as above
                peers=tuple(json.loads(meta["peers"])),
                open_namespaces=tuple(json.loads(meta["open_namespaces"])),
            )
        except (ValueError, KeyError, TypeError) as error:
            logger.warning("The stored routes cannot be read and are asked for anew: %s", error)
            return Routes()

    def save(self, before: Routes, after: Routes) -> None:
        """Keep what differs, in one step."""
        gone, new = [], []
        pairs = ((_SERVICE, before.services, after.services),)
        for kind, old, now in (*pairs, (_INGRESS, before.ingresses, after.ingresses)):
            gone += [(kind, name) for name in old if name not in now]
            new += list(_rows(kind, old, now))
        meta = [
            ("generation", str(after.generation)),
            ("peers", json.dumps(after.peers)),
            ("open_namespaces", json.dumps(after.open_namespaces)),
        ]
        with self._lock, self._connection:
            self._connection.executemany("DELETE FROM entry WHERE kind = ? AND name = ?", gone)
            self._connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?)", new)
            self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _rows(
    kind: str,
    before: Mapping[str, ServiceRoutes] | Mapping[str, IngressRoutes],
    after: Mapping[str, ServiceRoutes] | Mapping[str, IngressRoutes],
) -> Iterator[tuple[str, str, str]]:
    for name, entry in after.items():
        if before.get(name) is not entry:
            yield kind, name, json.dumps(protocol.to_wire(entry))


def _open(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS entry (kind TEXT, name TEXT, body TEXT NOT NULL, "
                "PRIMARY KEY (kind, name)) WITHOUT ROWID"
            )
            connection.execute("CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, body TEXT)")
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection

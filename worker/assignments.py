"""The replicas this node was given, kept on its disk so that they survive the agent."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from worker import protocol
from worker.protocol import JobResult, LatestDeath, ReplicaSpec


@dataclass(slots=True, kw_only=True)
class Assignment:
    """One replica given to this node. `results` keeps the latest outcome of each kind of job.

    `stop_grace` is set once a stop job has come; `has_run` once its container ran. `buried` is the
    id of the latest container whose death was counted.
    """

    spec: ReplicaSpec
    results: dict[str, JobResult] = field(default_factory=dict)
    stop_grace: int | None = None
    has_run: bool = False
    restarts: int = 0
    failures: int = 0
    buried: str = ""
    death: LatestDeath | None = None


class AssignmentStore:
    """An SQLite file; every call is one durable transaction. Safe for many threads.

    `was_lost` tells that the file did not exist or could not be read: what runs here may then be
    ours without our knowing, and must not be removed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self.was_lost = not path.exists()
        try:
            self._connection = _open(path)
        except sqlite3.DatabaseError:
            path.rename(path.with_suffix(".damaged"))
            self.was_lost = True
            self._connection = _open(path)

    def load(self) -> dict[str, Assignment]:
        """Return every assignment; one that cannot be read counts as lost."""
        found = {}
        with self._lock:
            rows = self._connection.execute("SELECT uid, body FROM assignment").fetchall()
        for uid, body in rows:
            try:
                found[uid] = _decode(json.loads(body))
            except (ValueError, KeyError, TypeError):
                self.was_lost = True
        return found

    def save(self, assignments: Iterable[Assignment]) -> None:
        """Keep assignments, all or none."""
        rows = [(a.spec.uid, json.dumps(_encode(a))) for a in assignments]
        with self._lock, self._connection:
            self._connection.executemany(
                "INSERT INTO assignment (uid, body) VALUES (?, ?) "
                "ON CONFLICT (uid) DO UPDATE SET body = excluded.body",
                rows,
            )

    def forget(self, uid: str) -> None:
        """Drop an assignment."""
        with self._lock, self._connection:
            self._connection.execute("DELETE FROM assignment WHERE uid = ?", (uid,))

    def next_boot(self, now: float) -> int:
        """Return a number greater than that of every earlier start, also if the clock went back."""
        with self._lock, self._connection:
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'boot'").fetchone()
            boot = max((row[0] if row else 0) + 1, int(now * 1000))
            self._connection.execute(
                "INSERT INTO meta (name, value) VALUES ('boot', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (boot,),
            )
        return boot

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        with connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS assignment (uid TEXT PRIMARY KEY, body TEXT NOT NULL)"
            )
            connection.execute(
                "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
            )
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _encode(assignment: Assignment) -> dict[str, object]:
    return {
        "spec": protocol.to_wire(assignment.spec),
        "results": {k: protocol.to_wire(v) for k, v in assignment.results.items()},
        "stop_grace": assignment.stop_grace,
        "has_run": assignment.has_run,
        "restarts": assignment.restarts,
        "failures": assignment.failures,
        "buried": assignment.buried,
        "death": protocol.to_wire(assignment.death) if assignment.death else None,
    }


def _decode(body: dict[str, object]) -> Assignment:
    results, death = body["results"], body["death"]
    stop_grace, restarts, failures = body["stop_grace"], body["restarts"], body["failures"]
    if not isinstance(results, dict) or not isinstance(restarts, int):
        raise TypeError("an assignment has an unexpected shape")
    return Assignment(
        spec=protocol.from_wire(ReplicaSpec, body["spec"]),
        results={k: protocol.from_wire(JobResult, v) for k, v in results.items()},
        stop_grace=stop_grace if isinstance(stop_grace, int) else None,
        has_run=bool(body["has_run"]),
        restarts=restarts,
        failures=failures if isinstance(failures, int) else 0,
        buried=str(body.get("buried", "")),
        death=protocol.from_wire(LatestDeath, death) if death else None,
    )

"""The replicas this node was given, kept on its disk so that they survive the agent."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from worker import protocol
from worker.protocol import JobResult, LatestDeath, ReplicaSpec, ReplicaStatus

logger = logging.getLogger(__name__)


class NotKept(OSError):
    """What this node knows cannot be written down; the message says why and what to do."""

    def __init__(self, path: Path, why: object) -> None:
        super().__init__(
            f"{path} cannot be written ({why}): make room on its disk, or make it writable; until "
            "then containers run on, but what changes now is unknown to a node that starts again"
        )


@dataclass(slots=True, kw_only=True)
class Assignment:
    """One replica given to this node. `results` keeps the latest outcome of each kind of job.

    `stop_grace` is set once a stop job has come; `has_run` once its container ran. `runtime` is
    the runtime it was given to: it stays there, also when another becomes the preferred one.
    `buried` is the id of the latest container whose death was counted, `ready_id` that of the one
    that was ready, `outdated` the name of an earlier epoch's container that has to go first.
    `next_try_at` is seconds since the epoch.
    """

    spec: ReplicaSpec
    results: dict[str, JobResult] = field(default_factory=dict)
    runtime: str = ""
    stop_grace: int | None = None
    has_run: bool = False
    restarts: int = 0
    failures: int = 0
    next_try_at: float | None = None
    buried: str = ""
    ready_id: str = ""
    outdated: str = ""
    death: LatestDeath | None = None


class AssignmentStore:
    """An SQLite file; every call is one durable transaction. Safe for many threads.

    `was_lost` tells that the file did not exist or could not be read: what runs here may then be
    ours without our knowing, and must not be removed. `trouble` says why the latest call failed.

    Raises:
        NotKept: the file cannot be read or written now (every call).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.was_lost = not path.exists()
        self.trouble = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(path)
        except (sqlite3.OperationalError, OSError) as error:
            # Locked by another process, no permission, disk full: the file itself may be well.
            raise NotKept(path, error) from error
        except sqlite3.DatabaseError as error:
            logger.warning("The list of assignments is damaged and put aside: %s", error)
            _put_aside(path)
            self.was_lost = True
            self._connection = _open(path)
        self._inode = _inode(path)

    @property
    def is_gone(self) -> bool:
        """Tell whether the file was deleted or replaced behind our back."""
        return _inode(self._path) != self._inode

    def renew(self, assignments: Iterable[Assignment]) -> None:
        """Write the file anew after it was deleted: what it held, and these."""
        with self._telling():
            memory = sqlite3.connect(":memory:", check_same_thread=False)
            with contextlib.suppress(sqlite3.Error):
                # The deleted file can mostly still be read by whoever has it open.
                self._connection.backup(memory)
            # Closed first, as this removes the journals, by their names.
            self._connection.close()
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = sqlite3.connect(self._path)
            memory.backup(fresh)
            fresh.close()
            memory.close()
            self._connection = _open(self._path)
            self._inode = _inode(self._path)
        self.save(assignments)

    def load(self) -> dict[str, Assignment]:
        """Return every assignment; one that cannot be read counts as lost."""
        found = {}
        with self._calling(writes=False):
            rows = self._connection.execute("SELECT uid, body FROM assignment").fetchall()
        for uid, body in rows:
            try:
                found[uid] = _decode(json.loads(body))
            except (ValueError, KeyError, TypeError) as error:
                logger.warning("The assignment of replica %s cannot be read: %s", uid, error)
                self.was_lost = True
        return found

    def save(self, assignments: Iterable[Assignment]) -> None:
        """Keep assignments, all or none."""
        with self._calling():
            # Read under the lock: otherwise a slow writer could put an older look over a newer one.
            rows = [(a.spec.uid, json.dumps(_encode(a))) for a in assignments]
            self._connection.executemany(
                "INSERT INTO assignment (uid, body) VALUES (?, ?) "
                "ON CONFLICT (uid) DO UPDATE SET body = excluded.body",
                rows,
            )

    def bury(self, status: ReplicaStatus, at: float, *, drop: Iterable[str] = ()) -> None:
        """Turn an assignment into a note of its end, and drop older notes, in one step."""
        row = (status.uid, at, json.dumps(protocol.to_wire(status)))
        with self._calling():
            self._connection.execute("DELETE FROM assignment WHERE uid = ?", (status.uid,))
            self._connection.execute("INSERT OR REPLACE INTO ended VALUES (?, ?, ?)", row)
            self._connection.executemany(
                "DELETE FROM ended WHERE uid = ?", [(uid,) for uid in drop]
            )

    def load_ended(self) -> dict[str, tuple[float, ReplicaStatus]]:
        """Return the notes of ends, oldest first; one that cannot be read is left out."""
        with self._calling(writes=False):
            rows = self._connection.execute("SELECT * FROM ended ORDER BY at, rowid").fetchall()
        found = {}
        for uid, at, body in rows:
            try:
                found[uid] = (at, protocol.from_wire(ReplicaStatus, json.loads(body)))
            except ValueError as error:
                logger.warning("The note of the end of %s cannot be read: %s", uid, error)
        return found

    def next_boot(self, now: float) -> int:
        """Return a number greater than that of every earlier start, also if the clock went back."""
        with self._calling():
            row = self._connection.execute("SELECT value FROM meta WHERE name = 'boot'").fetchone()
            boot = max((row[0] if row else 0) + 1, int(now * 1000))
            self._connection.execute(
                "INSERT INTO meta (name, value) VALUES ('boot', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (boot,),
            )
        return boot

    def has_taken(self, nonce: str) -> bool:
        """Tell whether a letter was taken before."""
        with self._calling(writes=False):
            found = self._connection.execute("SELECT 1 FROM taken WHERE nonce = ?", (nonce,))
            return found.fetchone() is not None

    def note_taken(self, nonce: str, until: float, *, now: float) -> None:
        """Remember a letter for as long as it could come again, and forget those that cannot."""
        with self._calling():
            self._connection.execute("DELETE FROM taken WHERE until < ?", (now,))
            self._connection.execute("INSERT OR IGNORE INTO taken VALUES (?, ?)", (nonce, until))

    def check(self) -> None:
        """Find out whether the file can be written."""
        with self._calling():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('checked', 1)")

    @contextlib.contextmanager
    def _calling(self, *, writes: bool = True) -> Iterator[None]:
        """One transaction."""
        with self._telling(writes=writes), self._connection:
            yield

    @contextlib.contextmanager
    def _telling(self, *, writes: bool = True) -> Iterator[None]:
        """Hold the file; say once when it fails, and once when it can be written again."""
        with self._lock:
            try:
                yield
            except (sqlite3.Error, OSError) as error:
                failure = NotKept(self._path, error)
                if not self.trouble:
                    logger.error("%s", failure)  # noqa: TRY400, a disk's fault and no bug
                self.trouble = str(failure)
                raise failure from error
            if self.trouble and writes:
                self.trouble = ""
                logger.info("%s can be written again", self._path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()


_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS assignment (uid TEXT PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ended (uid TEXT PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS taken (nonce TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS taken_until ON taken (until)",
)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, timeout=5)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        _require_sound(connection)
        with connection:
            for statement in _SCHEMA:
                connection.execute(statement)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _require_sound(connection: sqlite3.Connection) -> None:
    answer = connection.execute("PRAGMA quick_check").fetchone()[0]
    if answer != "ok":
        raise sqlite3.DatabaseError(answer)


def _put_aside(path: Path) -> None:
    """Move a damaged file and its journals: one left behind would be replayed into the new."""
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.replace(path.with_name(f"{path.stem}.damaged{suffix}"))


def _encode(assignment: Assignment) -> dict[str, object]:
    return {
        "spec": protocol.to_wire(assignment.spec),
        # A copy in one step, because a job may add its result while a pass saves.
        "results": {k: protocol.to_wire(v) for k, v in tuple(assignment.results.items())},
        "runtime": assignment.runtime,
        "stop_grace": assignment.stop_grace,
        "has_run": assignment.has_run,
        "restarts": assignment.restarts,
        "failures": assignment.failures,
        "next_try_at": assignment.next_try_at,
        "buried": assignment.buried,
        "ready_id": assignment.ready_id,
        "outdated": assignment.outdated,
        "death": protocol.to_wire(assignment.death) if assignment.death else None,
    }


def _decode(body: dict[str, object]) -> Assignment:
    """Read what `_encode` wrote, also an earlier release's: what it lacks takes its default."""
    results, death = body["results"], body["death"]
    if not isinstance(results, dict):
        raise TypeError("an assignment has an unexpected shape")
    return Assignment(
        spec=protocol.from_wire(ReplicaSpec, body["spec"]),
        results={k: protocol.from_wire(JobResult, v) for k, v in results.items()},
        runtime=str(body.get("runtime", "")),
        stop_grace=_whole(body["stop_grace"]),
        has_run=bool(body["has_run"]),
        restarts=_whole(body["restarts"]) or 0,
        failures=_whole(body["failures"]) or 0,
        next_try_at=_instant(body.get("next_try_at")),
        buried=str(body.get("buried", "")),
        ready_id=str(body.get("ready_id", "")),
        outdated=str(body.get("outdated", "")),
        death=protocol.from_wire(LatestDeath, death) if death else None,
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _instant(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None

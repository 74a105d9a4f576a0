"""One program beside the worker: started again whenever it ends, and left running when we end.

What carries traffic must not stop with an agent, no more than replicas do: the next agent takes the
program over. It is known by its pid and start time and by what was started, all in a file.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from worker.processes import ProcessId, favour

logger = logging.getLogger(__name__)

SHORTEST_WAIT, LONGEST_WAIT = 0.05, 2.0
STEADY_SECONDS = 5.0
LOOK_SECONDS = 3600.0
LOG_BYTES = 2_000_000
# For what one still does that another program takes the place of; nobody else is served by then.
REPLACED_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a program runs.

    Of `settings`, variables of its environment, those count that our own environment does not have.
    Below 0, `nice` has it run sooner than others. `made_of` are its files besides the first word.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    nice: int = 0
    made_of: tuple[Path, ...] = ()


class Companion:
    """Keeps one program running; `feed` returns what it is to read at its start.

    Its log and its record lie in `folder`.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        folder: Path,
        feed: Callable[[], bytes],
        manner: Manner | None = None,
    ) -> None:
        self._name = name
        self._argv = tuple(argv)
        self._log = folder / f"{name}.log"
        self._record = _record(folder, name)
        self._feed = feed
        self._manner = manner or Manner()
        self._left = threading.Event()
        self._process: ProcessId | None = None

    @property
    def pid(self) -> int | None:
        """Return its process id, while it runs."""
        process = self._process
        return process.pid if process is not None and process.is_alive() else None

    def take_over(self) -> bool:
        """Keep what an earlier worker left running; return whether there was such a thing.

        One that was started otherwise, or from a program that has been replaced since, is ended.
        """
        found, started = _read(self._record)
        if found is None or not found.is_alive():
            return False
        if started != self._identity():
            _end(found, REPLACED_SECONDS)
            return False
        self._process = found
        self._keep(found)
        return True

    def start(self) -> None:
        """Begin to keep it running."""
        self._keep(None)

    def leave(self) -> None:
        """Keep it no longer; it runs on."""
        self._left.set()

    def _keep(self, present: ProcessId | None) -> None:
        threading.Thread(target=self._run, args=(present,), name=self._name, daemon=True).start()

    def _run(self, present: ProcessId | None) -> None:
        wait = SHORTEST_WAIT
        while not self._left.is_set():
            began = time.monotonic()
            try:
                status = self._live_once() if present is None else _outlive(present)
            except OSError as error:
                logger.warning("%s cannot be started: %s", self._name, error)
                status = "an error"
            present = None
            if self._left.is_set():
                return
            logger.warning("%s ended with %s and is started again", self._name, status)
            wait = SHORTEST_WAIT if time.monotonic() - began > STEADY_SECONDS else wait * 2
            self._left.wait(min(wait, LONGEST_WAIT))

    def _live_once(self) -> str:
        self._log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._log.exists() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_suffix(".old"))
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603, our own program
                self._argv,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**self._manner.settings, **os.environ},
                # What ends the worker's group of processes is not meant for it.
                start_new_session=True,
            )
        if self._manner.nice:
            favour(process.pid, self._manner.nice)
        found = ProcessId.of(process.pid)
        if found is not None:
            _write(self._record, found, self._identity())
        self._process = found
        if self._left.is_set():
            process.kill()
        try:
            if process.stdin is not None:
                with process.stdin as ear:
                    ear.write(self._feed())
        except BrokenPipeError:
            logger.warning("%s ended before it had read anything", self._name)
        return str(process.wait())

    def _identity(self) -> str:
        settings = [f"{name}={value}" for name, value in sorted(self._manner.settings.items())]
        files = (Path(self._argv[0]), *self._manner.made_of)
        return json.dumps([*settings, *self._argv, *map(_changed_at, files)])


def end(folder: Path, name: str, grace_seconds: float) -> None:
    """End what a worker has left running there: ask, wait, kill."""
    record = _record(folder, name)
    process, _ = _read(record)
    if process is not None:
        _end(process, grace_seconds)
    record.unlink(missing_ok=True)


def _end(process: ProcessId, grace_seconds: float) -> None:
    process.signal(signal.SIGTERM)
    if not process.wait(grace_seconds):
        process.signal(signal.SIGKILL)
        process.wait(LOOK_SECONDS)


def _outlive(process: ProcessId) -> str:
    """Wait until a process that is not our child has ended."""
    while not process.wait(LOOK_SECONDS):
        pass
    return "an unknown status"


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _record(folder: Path, name: str) -> Path:
    return folder / f"{name}.pid"


def _read(record: Path) -> tuple[ProcessId | None, str]:
    """Return what was started, as far as it was written down."""
    try:
        pid, start, identity = json.loads(record.read_text())
        return ProcessId(int(pid), int(start)), str(identity)
    except (OSError, ValueError, TypeError):
        return None, ""


def _write(record: Path, process: ProcessId, identity: str) -> None:
    new = record.with_suffix(".new")
    new.write_text(json.dumps([process.pid, process.start, identity]))
    new.replace(record)

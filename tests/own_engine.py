"""A Docker Engine of a test's own, which can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from docker.errors import DockerException
from requests import RequestException

from tests import docker_engine
from tests.network import Machine
from worker.runtimes import docker_client


@dataclass
class OwnEngine:
    """A `dockerd` with everything it has in one folder, on a machine of its own.

    The machine keeps its bridge and rules off everybody else's, and a mount namespace its mounts.
    """

    folder: Path
    machine: Machine
    log: IO[bytes]
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where it listens."""
        return f"unix://{self.folder}/docker.sock"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        words = [f"--{name}={self.folder / path}" for name, path in options.items()]
        words += ["--storage-driver=vfs", f"--host={self.url}", "--log-level=warn"]
        words = ["unshare", "--mount", "--", "dockerd", *words]
        self.process = subprocess.Popen(
            self.machine.words(words), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 40
        while not self._answers():
            assert self.process.poll() is None, Path(self.log.name).read_text()[-2000:]
            assert time.monotonic() < deadline, "dockerd does not answer"
            time.sleep(0.05)
        self.containers()

    def make_image(self) -> None:
        """Give it the image that cannot be pulled from anywhere."""
        docker_engine.make_image(self.url)

    def containers(self) -> list[tuple[str, str]]:
        """Return name and state of everything it has."""
        with closing(docker_client.client(self.url, timeout=60)) as client:
            rows = client.containers(all=True)
        return sorted((row["Names"][0].lstrip("/"), row["State"]) for row in rows)

    def kill(self) -> None:
        """Kill -9 it; it has no time for its containers.

        Its containerd is killed with it by the kernel. A new engine that finds this one dying would
        take it for its own and give up after a while, so wait until it is gone.
        """
        child = Path(f"/proc/{(self.folder / 'exec/containerd/containerd.pid').read_text()}")
        self._end(signal.SIGKILL)
        while child.exists():
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order: it ends its containers first."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)
        self.process.wait(40)
        self.process = None

    def close(self) -> None:
        """Remove what it runs, and stop it."""
        with closing(docker_client.client(self.url, timeout=60)) as client:
            for row in client.containers(all=True):
                client.remove_container(row["Id"], force=True)
        self.stop()
        self.log.close()

    def _answers(self) -> bool:
        # It listens before it is ready, and closes what connects meanwhile.
        with closing(docker_client.client(self.url, timeout=5)) as client:
            try:
                return bool(client.ping())
            except (DockerException, RequestException):
                return False

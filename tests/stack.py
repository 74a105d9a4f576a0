"""`manage.py up` in a state folder and on a port of its own, with real containers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A running `manage.py up`, driven through its command line and API.

    `node` is the name of the node it brings along (none when empty); `extra` is set besides.
    """

    home: Path
    port: int
    runtime: str
    host: str = "127.0.0.1"
    node: str = "n1"
    extra: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    root: Path = ROOT
    python: Path = Path(sys.executable)

    def start(self, env: dict[str, str] | None = None) -> None:
        """Run `up` until it says that it is up; with this environment alone, if one is given.

        It ends with us, also if we are killed.
        """
        self.env = self._inherited() if env is None else env
        words = ["up", "--host", self.host, "--port", str(self.port), "--runtime", self.runtime]
        words += ["--node-name", self.node] if self.node else ["--no-node"]
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", self.python, "manage.py", *words],
            cwd=self.root,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                return
        raise AssertionError(f"up ended with {self.process.wait()}: {''.join(said)}")

    def _inherited(self) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if not k.startswith(("KIJABI", "DJANGO"))}
        env.pop("REDIS_URL", None)
        env.pop("DATABASE_URL", None)
        own = {"KIJABI_HOME": str(self.home), "KIJABI_NO_VENV": "1"}
        # Rules in the kernel would outlive a test that ends without `down`.
        return env | own | {"KIJABI_GATEWAY": "off"} | self.extra

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process.stdout.close()
            self.process = None

    def run(self, *words: str, text: str = "", status: int = 0) -> str:
        """Run a command line; return what it printed."""
        result = subprocess.run(
            [self.python, "manage.py", *words],
            cwd=self.root,
            env=self.env,
            input=text,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout + result.stderr

    def api(self, path: str, *, method: str = "GET") -> Any:
        token = (self.home / "admin-token").read_text().strip()
        request = urllib.request.Request(
            f"http://{self.host}:{self.port}/api/v1/{path}",
            headers={"Authorization": f"Bearer {token}"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def join_words(self) -> list[str]:
        """Return the words of the command that makes a machine join, after `manage.py`."""
        return str(self.api("nodes/join-tokens/", method="POST")["command"]).split()[2:]

    def replicas(self) -> list[dict[str, Any]]:
        return self.api("replicas/")["results"]

    def ready(self) -> list[dict[str, Any]]:
        return [row for row in self.replicas() if row["ready"]]

    def wait_for(self, look: Callable[[], Any], seconds: float = 60, *, every: float = 0.05) -> Any:
        deadline = time.monotonic() + seconds
        latest: Exception | None = None
        while time.monotonic() < deadline:
            try:
                if found := look():
                    return found
            except OSError as error:
                latest = error
            time.sleep(every)
        raise AssertionError(f"it did not happen in {seconds} s ({latest})\n{self._situation()}")

    def _situation(self) -> str:
        """Return what is there and what happened last, for whoever reads why a test failed."""
        try:
            rows = self.replicas()
            happened = self.api("events/?limit=20")["results"]
        except OSError as error:
            return f"the API does not tell what is there: {error}"
        words = ("uid", "node", "phase", "ready", "reason", "message")
        told = [str([row.get(word) for word in words]) for row in rows]
        told += [str([row.get(word) for word in ("at", "reason", "message")]) for row in happened]
        return "\n".join(told)

    def pid_of(self, *words: str) -> int:
        """Return the pid of a child of this very supervisor that was called by one of the words."""
        assert self.process is not None
        parent = self.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        for child in children:
            called = Path(f"/proc/{child}/cmdline").read_bytes().decode()
            if any(word in called for word in words):
                return int(child)
        raise AssertionError(f"no child called by any of {words}")

    def kill(self, word: str) -> None:
        """Kill -9 a child and wait until another has taken its place."""
        old = self.pid_of(word)
        os.kill(old, signal.SIGKILL)
        self.wait_for(lambda: self._has_new(word, old))

    def _has_new(self, word: str, old: int) -> bool:
        try:
            return self.pid_of(word) != old
        except (AssertionError, OSError):
            return False

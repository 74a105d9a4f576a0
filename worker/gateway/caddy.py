"""Layer 7: Caddy as a companion of this worker, told what to do through its own interface.

It is started with the first ingress and outlives the worker: the next one takes it over. Its
configuration is loaded, never restarted into; who serves it learns by looking names up, which a
second companion answers. Nothing of
it is kept on disk but its certificates, ports and log: a new start begins with the routes that the
agent has stored.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import shutil
import socket
import sysconfig
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from worker.gateway import companion, upstream_keeper
from worker.gateway.companion import Companion, Manner
from worker.gateway.end_names import end_of
from worker.gateway.holding import Holding
from worker.gateway.http_config import REFRESH_SECONDS, Surroundings, render
from worker.gateway.nftables import CannotRoute
from worker.gateway.rotation import View
from worker.gateway.upstream_keeper import UpstreamKeeper
from worker.gateway.upstreams import Upstreams

logger = logging.getLogger(__name__)

BIRTH_SECONDS = 10.0
CALL_SECONDS = 10.0
END_SECONDS = 5.0
LOOK_SECONDS = 0.02
# Its memory is looked through a fourth as often as usual, which pays for asking who serves
# (`bench traffic`): some 20 MB more under load.
# It runs before what starts containers and plans, with three times the weight of each of these.
MANNER = Manner(settings={"GOGC": "400"}, nice=-5)


def find() -> str | None:
    """Return the program: one on PATH, else that of the wheel."""
    found = shutil.which("caddy")
    if found is None:
        own = Path(sysconfig.get_path("scripts")) / "caddy"
        found = str(own) if os.access(own, os.X_OK) else None
    return found


def end(folder: Path) -> None:
    """End the Caddy that was left running in a folder, once its requests have ended, or soon."""
    companion.end(folder, Caddy.name, END_SECONDS)
    upstream_keeper.end(folder)


class Caddy:
    """The HTTP gateway of a node."""

    name = "caddy"

    def __init__(self, program: str, around: Surroundings, folder: Path) -> None:
        self._keeper = UpstreamKeeper(folder)
        self._around = around
        self._socket = Path(around.admin.removeprefix("unix/").partition("|")[0])
        self._upstreams = Upstreams()
        self._holding = Holding(self._ends_of)
        self._wanted: dict[str, Any] = {}
        self._in_force: dict[str, Any] = {}
        # Caddy reads its first configuration from its input: keys never lie in a file.
        argv = (program, "run", "--config", "-")
        self._companion = Companion(self.name, argv, folder, self._feed, MANNER)
        self._is_running = self._companion.take_over()
        self._is_strange = self._is_running

    @property
    def pid(self) -> int | None:
        """Return its process id, while it runs."""
        return self._companion.pid

    def on_knock(self, call: Callable[[], None]) -> None:
        """Have this called, from a thread of ours, when requests begin or cease to wait."""
        self._holding.knocked = call

    def carry_out(self, view: View) -> None:
        """Have Caddy do what is in rotation.

        Raises:
            CannotRoute: it does not take its configuration; the one before is in force.
        """
        self._upstreams = upstreams = Upstreams.of(view)
        doors = self._holding.hold(upstreams.held)
        has_changed = self._keeper.publish(upstreams.through(doors).targets)
        if not self._is_running and not view.ingresses:
            return
        self._keeper.start()
        keeper = self._keeper
        around = replace(self._around, routes_at=keeper.routes_at, ends_at=keeper.ends_at)
        config = render(view.ingresses, around)
        if self._is_strange:
            self._wanted = config
            self._in_force, self._is_strange = self._told(), False
        if not self._is_running:
            self._begin(config)
        elif config != self._in_force:
            self._load(config)
        elif has_changed:
            # By then no request can begin with an answer from before.
            time.sleep(REFRESH_SECONDS * 1.2)

    def settle(self, view: View) -> None:
        """Do nothing: all of it is urgent."""

    def check(self) -> bool:
        """Tell whether it is there, with who serves; if not, it is being started again already."""
        is_there = not self._is_running or self._companion.pid is not None
        return self._keeper.check() and is_there

    def busy(self, view: View) -> frozenset[str]:
        """Return the draining replicas that have requests."""
        wanted = {(t.address, t.port): t.replica for t in view.draining()}
        if not wanted:
            return frozenset()
        ends = {end for end, number in self.under_way().items() if number > 0}
        return frozenset(replica for end, replica in wanted.items() if end in ends)

    def awaited(self) -> frozenset[str]:
        """Return the services whose requests wait here until somebody serves them."""
        asleep = self._upstreams.asleep
        return frozenset(asleep[name] for name in self._holding.waiting() if name in asleep)

    def under_way(self) -> dict[tuple[str, int], int]:
        """Return how many requests each end has now; of Caddy's nothing while it does not say it.

        Those that were held go through us: of them it does not know who has them.
        """
        held = self._holding.under_way()
        if not self._is_running:
            return held
        try:
            rows = json.loads(self._ask("GET", "/reverse_proxy/upstreams", b""))
        except (OSError, http.client.HTTPException, ValueError, CannotRoute) as error:
            logger.warning("Caddy does not say who is busy: %s", error)
            return held
        told = {end_of(row["address"]): row["num_requests"] for row in rows or ()}
        return Counter(told) + Counter(held)

    def notes(self) -> tuple[str, ...]:
        """Return on which ports it listens, unless they are those that browsers use."""
        ports = (self._around.http_port, self._around.https_port)
        if not self._is_running or ports == (80, 443):
            return ()
        return (f"HTTP is served on port {ports[0]}, HTTPS on {ports[1]}",)

    def close(self) -> None:
        """Leave it to the next worker: requests go on while there is none."""
        self._companion.leave()
        self._keeper.leave()
        self._holding.close()

    def _ends_of(self, route: str) -> tuple[tuple[str, int], ...]:
        return self._upstreams.ends(route)

    def _begin(self, config: dict[str, Any]) -> None:
        self._wanted = config
        self._socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket.unlink(missing_ok=True)
        if not self._keeper.await_answer(BIRTH_SECONDS):
            raise CannotRoute(f"nobody tells Caddy where replicas are; {self._latest_words()}")
        self._companion.start()
        self._is_running = True
        deadline = time.monotonic() + BIRTH_SECONDS
        while time.monotonic() < deadline:
            try:
                self._ask("GET", "/config/admin", b"")
            except (OSError, http.client.HTTPException):
                time.sleep(LOOK_SECONDS)
            else:
                self._in_force = config
                return
        raise CannotRoute(f"Caddy does not start; {self._latest_words()}")

    def _load(self, config: dict[str, Any]) -> None:
        before, self._wanted = self._wanted, config
        try:
            self._ask("POST", "/load", json.dumps(config).encode())
        except (OSError, http.client.HTTPException) as error:
            # It is being started again, and begins with what is wanted.
            raise CannotRoute(f"Caddy cannot be told anything: {error}") from error
        except CannotRoute:
            self._wanted = before
            raise
        self._in_force = config

    def _told(self) -> dict[str, Any]:
        """Return what it does by the words of an earlier worker."""
        try:
            return dict(json.loads(self._ask("GET", "/config/", b"")) or {})
        except (OSError, http.client.HTTPException, ValueError, CannotRoute) as error:
            logger.warning("Caddy does not say what it does, and is told anew: %s", error)
            return {}

    def _feed(self) -> bytes:
        return json.dumps(self._wanted).encode()

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        connection = _Connection(self._socket)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise CannotRoute(f"Caddy refuses its configuration: {_complaint(text)}")
        return text

    def _latest_words(self) -> str:
        return f"see {self._socket.parent / 'caddy.log'}"


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1", timeout=CALL_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CALL_SECONDS)
        self.sock.connect(str(self._path))


def _complaint(text: bytes) -> str:
    try:
        return str(json.loads(text)["error"])[:300]
    except (ValueError, KeyError, TypeError):
        return text.decode(errors="replace")[:300]

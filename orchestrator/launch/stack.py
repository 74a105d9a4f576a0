"""`up` and `down`: the whole system on one machine."""

from __future__ import annotations

import argparse
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import nullcontext
from pathlib import Path

from orchestrator.home import ROOT, is_on, state_folder
from orchestrator.launch import broker, environment, locks, nodes
from orchestrator.launch.environment import Unready
from orchestrator.launch.locks import OnlyOne
from orchestrator.launch.supervisor import Child, Supervisor, latest_line

READY_SECONDS = 60
NODE_SECONDS = 15
TRIES_BEFORE_READY = 5


def up(arguments: list[str]) -> None:
    """Start broker, web, control worker and a node; keep them running until Ctrl-C."""
    options = _up_options(arguments)
    environment.enter()
    home = nodes.prepare_home()
    with OnlyOne(home, "up", "end it first (Ctrl-C there, or `manage.py down`)"):
        _check_port(options.host, options.port)
        with locks.only_node(home, options.node_name) if not options.no_node else nullcontext():
            _run_stack(home, options)


def down(arguments: list[str]) -> None:
    """End `up`, then stop every container of this cluster on this machine."""
    argparse.ArgumentParser("manage.py down", description=down.__doc__).parse_args(arguments)
    environment.enter()
    home = state_folder()
    for lock in locks.found(home):
        if (pid := locks.holder(lock)) is not None:
            nodes.say(f"ending {lock.stem} (process {pid})")
            locks.end_holder(lock, pid)
    result = subprocess.run(  # noqa: S603, our own program
        [environment.python(), "-m", "worker.stop_all"],
        cwd=ROOT,
        env={**os.environ, "KIJABI_HOME": str(home)},
        check=False,
    )
    sys.exit(result.returncode)


def _up_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("manage.py up", description=up.__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="port of the dashboard and API")
    parser.add_argument(
        "--node-name", default=nodes.hostname(), type=nodes.node_name, metavar="NAME"
    )
    parser.add_argument("--no-node", action="store_true", help="run no containers here")
    nodes.add_worker_options(parser)
    return parser.parse_args(arguments)


def _run_stack(home: Path, options: argparse.Namespace) -> None:
    supervisor = Supervisor(nodes.say)
    nodes.end_on_signals(supervisor)
    try:
        url = os.environ.get("REDIS_URL", "")
        if not url:
            url, command = broker.prepare(home, options.host)
            supervisor.add(Child("broker", command, os.environ, home / "logs/broker.log"))
        shared = {**os.environ, "KIJABI_HOME": str(home), "REDIS_URL": url}
        _await_broker(url)
        first_login = nodes.bootstrap(shared, "" if options.no_node else options.node_name)
        if supervisor.is_ending:
            return
        supervisor.add(_web_child(home, shared, options))
        supervisor.add(_control_child(home, shared))
        if not options.no_node:
            supervisor.add(nodes.child(home, options.node_name, options))
        address = f"http://{_shown_host(options.host)}:{options.port}"
        if _await_ready(supervisor, f"{address}/readyz", home):
            (home / "run/server").write_text(address)
            if not options.no_node:
                _await_node(supervisor, f"{address}/api/v1/nodes/{options.node_name}/", first_login)
            _introduce(address, first_login)
        supervisor.run()
        nodes.say("ending; containers run on (the next `up` takes them over, `down` stops them)")
    finally:
        supervisor.end()


def _web_child(home: Path, shared: dict[str, str], options: argparse.Namespace) -> Child:
    command = [environment.python(), "-m", "uvicorn", "orchestrator.asgi:application"]
    command += ["--host", options.host, "--port", str(options.port), "--no-access-log"]
    command += ["--timeout-graceful-shutdown", "3", "--app-dir", str(ROOT)]
    if not is_on("KIJABI_BEHIND_PROXY"):
        # Else whoever asks could state any address as theirs, and never have to wait for a login.
        command += ["--no-proxy-headers"]
    return Child("web", command, shared, home / "logs/web.log")


def _control_child(home: Path, shared: dict[str, str]) -> Child:
    command = [environment.python(), "-m", "celery", "--workdir", str(ROOT)]
    command += ["-A", "orchestrator.celery", "worker", "-Q", "control", "-P", "threads"]
    # SQLite has one writer at a time: more threads would only wait for each other.
    command += ["-c", "4" if shared.get("DATABASE_URL", "").startswith("postgres") else "1"]
    command += ["-n", "control@kijabi", "--without-gossip", "--without-mingle"]
    command += ["--without-heartbeat", "--loglevel", "WARNING"]
    return Child("control", command, {**shared, "KIJABI_BEAT": "1"}, home / "logs/control.log")


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unready(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another with --port"
            ) from None


def _await_broker(url: str) -> None:
    """Wait until the broker accepts connections."""
    place = re.search(r"@?([^@/:]+):(\d+)", url.split("://", 1)[-1].rsplit("@", maxsplit=1)[-1])
    host, port = (place.group(1), int(place.group(2))) if place else ("127.0.0.1", 6379)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise Unready(f"the broker at {host}:{port} does not answer; see its log, or check REDIS_URL")


def _await_ready(supervisor: Supervisor, url: str, home: Path) -> bool:
    """Wait until the API answers; False when asked to end before it did."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        supervisor.step(0.05)
        if supervisor.is_ending:
            return False
        _check_hope(supervisor)
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310, our own address
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            continue
    raise Unready(f"the web server does not become ready; its log is {home / 'logs/web.log'}")


def _check_hope(supervisor: Supervisor) -> None:
    if (hopeless := supervisor.unable(TRIES_BEFORE_READY)) is not None:
        why = latest_line(hopeless.log)
        raise Unready(f"{hopeless.name} cannot run: {why} (its log: {hopeless.log})")


def _await_node(supervisor: Supervisor, url: str, login: dict[str, str | None]) -> None:
    """Wait a moment for the node to join, so that a first deployment finds it there."""
    token = Path(login["token_file"] or "").read_text().strip()
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    deadline = time.monotonic() + NODE_SECONDS
    while time.monotonic() < deadline and not supervisor.is_ending:
        supervisor.step(0.1)
        _check_hope(supervisor)
        try:
            urllib.request.urlopen(request, timeout=2).close()  # noqa: S310, our own address
        except (urllib.error.URLError, OSError):
            continue
        return
    nodes.say("the node has not joined yet; its log says why if it does not within a minute")


def _introduce(address: str, login: dict[str, str | None]) -> None:
    lines = [f"Kijabi is up:  {address}", f"  user        {login['user']}"]
    if login["password"]:
        lines.append(f"  password    {login['password']}   (shown this once)")
    lines += [
        f"  API token   {login['token_file']}",
        "  try         python3 manage.py get nodes",
        "Ctrl-C ends it and leaves the containers running.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _shown_host(host: str) -> str:
    return "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104, a comparison

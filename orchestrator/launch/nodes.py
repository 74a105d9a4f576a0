"""`node`, `node join`: one node worker, of the control plane here or of one elsewhere."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.cli import main as client
from orchestrator.home import ROOT, read_or_create_secret, state_folder
from orchestrator.launch import broker, environment, locks
from orchestrator.launch.environment import Unready
from orchestrator.launch.supervisor import Child, Supervisor

NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def node(arguments: list[str]) -> None:
    """Run a node worker: of the control plane on this machine, or of the one that was joined."""
    if arguments[:1] == ["join"]:
        _join(arguments[1:])
        return
    if arguments[:1] == ["token"]:
        client.main(["join-token", *arguments[1:]])
        return
    parser = argparse.ArgumentParser(
        "manage.py node",
        description=node.__doc__,
        epilog="`manage.py node token` prints the command that lets another machine join, "
        "`manage.py node join URL --token TOKEN` makes this machine a node of another one",
    )
    parser.add_argument("--name", type=node_name, help="unique name of the node")
    add_worker_options(parser)
    options = parser.parse_args(arguments)
    environment.enter()
    home = prepare_home()
    options.name = options.name or _only_joined(home)
    _run(home, options)


def _join(arguments: list[str]) -> None:
    """Make this machine a node of a control plane elsewhere, and run it."""
    parser = argparse.ArgumentParser("manage.py node join", description=_join.__doc__)
    parser.add_argument("url", metavar="URL", help="address of the control plane")
    parser.add_argument("--token", required=True, help="from the dashboard's page of nodes")
    parser.add_argument(
        "--name", type=node_name, default=hostname(), help="this machine's by default"
    )
    parser.add_argument("--no-run", action="store_true", help="only join; `manage.py node` runs it")
    add_worker_options(parser)
    options = parser.parse_args(arguments)
    environment.enter()
    home = prepare_home()
    words = [options.url, "--token", options.token, "--name", options.name]
    status = subprocess.run(  # noqa: S603, our own program
        [environment.python(), "-m", "worker.join", *words],
        cwd=ROOT,
        env={**os.environ, "KIJABI_HOME": str(home)},
        check=False,
    ).returncode
    if status:
        sys.exit(status)
    if not options.no_run:
        _run(home, options)


def _run(home: Path, options: argparse.Namespace) -> None:
    with locks.only_node(home, options.name):
        if not _joined(home, options.name):
            _enrol(home, options.name)
        supervisor = Supervisor(say)
        end_on_signals(supervisor)
        supervisor.add(child(home, options.name, options))
        say(f"node {options.name} runs; Ctrl-C ends it and leaves its containers running")
        supervisor.run()
        supervisor.end()


def _only_joined(home: Path) -> str:
    names = [path.name for path in sorted((home / "nodes").iterdir()) if _joined(home, path.name)]
    if len(names) != 1:
        known = f"; here are {', '.join(names)}" if names else ""
        raise Unready(f"say which node with --name{known}")
    return names[0]


def _joined(home: Path, name: str) -> str:
    """Return the address of the control plane elsewhere that a node has joined; empty for none."""
    path = home / "nodes" / name / "identity.json"
    try:
        return str(json.loads(path.read_text()).get("server", ""))
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (ValueError, AttributeError):
        raise Unready(f"{path} is damaged; remove it and join again with a new token") from None


def _enrol(home: Path, name: str) -> None:
    """Make a node of the control plane on this machine known there."""
    url = os.environ.get("REDIS_URL", "")
    if not url and not broker.url_file(home).exists():
        raise Unready(
            "there is no control plane here: run `manage.py up` first, or join one elsewhere with "
            "`manage.py node join URL --token …` (its dashboard's page of nodes gives the command)"
        )
    url = url or broker.url_file(home).read_text().strip()
    bootstrap({**os.environ, "KIJABI_HOME": str(home), "REDIS_URL": url}, name)


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Add what a node may be told about itself."""
    parser.add_argument("--runtime", choices=("docker", "sandbox", "auto"), default="auto")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        type=_label,
        metavar="KEY=VALUE",
        help="label of the node; may be repeated",
    )
    parser.add_argument(
        "--taint",
        action="append",
        default=[],
        type=_taint,
        metavar="KEY=VALUE:EFFECT",
        help="taint the node begins with; the command `taint` changes it later",
    )


def child(home: Path, name: str, options: argparse.Namespace) -> Child:
    """Return the program of a node; `options` are those of `add_worker_options`."""
    extra = {
        "KIJABI_HOME": str(home),
        "KIJABI_NODE": name,
        "KIJABI_RUNTIME": options.runtime,
        "KIJABI_NODE_LABELS": ",".join(options.label),
        "KIJABI_NODE_TAINTS": ",".join(options.taint),
        "PYTHONPATH": str(ROOT),
    }
    command = [environment.python(), "-m", "worker"]
    return Child(f"node-{name}", command, {**os.environ, **extra}, home / f"logs/node-{name}.log")


def prepare_home() -> Path:
    """Return the state folder, made as far as it was not.

    Raises:
        Unready: it cannot be written.
    """
    home = state_folder()
    try:
        for folder in (home, home / "run", home / "logs", home / "nodes"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        read_or_create_secret(home / "cluster-id", 8)
    except OSError as error:
        raise locks.unwritable(home, error) from None
    return home


def bootstrap(env: Mapping[str, str], node: str) -> dict[str, str | None]:
    """Prepare the database and make a node of this machine known; return the first login.

    Raises:
        Unready: it cannot be done.
    """
    words = ["bootstrap", "--json", *(["--node", node] if node else [])]
    result = subprocess.run(  # noqa: S603, our own program
        [environment.python(), str(ROOT / "manage.py"), *words],
        capture_output=True,
        text=True,
        env=env,
        # Ctrl-C ends us after it: half a migration helps nobody.
        start_new_session=True,
        check=False,
    )
    if result.returncode != 0:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        why = re.sub(r"^([\w.]+\.)?(CommandError|ImproperlyConfigured): ", "", last)
        raise Unready(f"the control plane cannot be prepared: {why}")
    answer: dict[str, str | None] = json.loads(result.stdout.strip().splitlines()[-1])
    return answer


def end_on_signals(supervisor: Supervisor) -> None:
    """Have Ctrl-C and SIGTERM end it in order."""
    signal.signal(signal.SIGTERM, supervisor.ask_to_end)
    signal.signal(signal.SIGINT, supervisor.ask_to_end)


def hostname() -> str:
    """Return this machine's name as a node's."""
    name = re.sub(r"[^-a-z0-9]", "-", socket.gethostname().split(".")[0].lower()).strip("-")
    return name or "node"


def node_name(text: str) -> str:
    """Return a name that was typed, if a node can have it."""
    if not NODE_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no node name: use lower-case letters, digits and '-', at most 63"
        )
    return text


def _label(text: str) -> str:
    if not re.fullmatch(r"[^=,\s]+=[^,\s]*", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no label; write key=value")
    return text


def _taint(text: str) -> str:
    if not re.fullmatch(r"[^=:,\s]+(=[^:,\s]*)?:(NoSchedule|PreferNoSchedule)", text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no taint; write key=value:Effect, where the effect is NoSchedule or "
            "PreferNoSchedule"
        )
    return text


def say(text: str) -> None:
    """Tell the person at the console."""
    sys.stderr.write(f"kijabi: {text}\n")
    sys.stderr.flush()

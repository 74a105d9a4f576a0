"""`apply`, `get`, `delete` and their friends."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from orchestrator.cli import (
    autoscaling,
    draining,
    executing,
    exposing,
    forwarding,
    joining,
    kinds,
    marking,
    rebalancing,
    tables,
    waiting,
    yaml_form,
)
from orchestrator.cli.client import Client, Refused
from orchestrator.home import state_folder


def main(arguments: Sequence[str]) -> None:
    """Run one command; exit 1 with a sentence when it cannot be done."""
    ours: list[str] = list(arguments)
    words: list[str] = []
    if ours[:1] == ["exec"]:
        ours, words = executing.split(ours)
    options = _parser().parse_args(ours, argparse.Namespace(words=words))
    try:
        status = options.run(Client(state_folder()), options)
    except Refused as refusal:
        sys.exit(f"kijabi: {refusal}")
    except OSError as error:
        sys.exit(f"kijabi: {error.filename or ''}: {error.strerror}".replace(": :", ":"))
    sys.exit(status or 0)


def apply(client: Client, options: argparse.Namespace) -> int:
    """Make everything in a manifest so."""
    answer = client.call(
        "POST",
        "apply/",
        query={"dry_run": options.dry_run},
        body=_read(options.file),
        kind="application/yaml",
    )
    for saved in answer["results"]:
        suffix = " (dry run)" if options.dry_run else ""
        _print(f"{kinds.label(saved['kind'], saved['name'])} {saved['action']}{suffix}")
        if saved.get("note"):
            _print(f"  note: {saved['note']}")
        if options.dry_run and saved["diff"]:
            _print(saved["diff"])
    if not options.wait or options.dry_run:
        return 0
    waits = [
        waiting.wait(client, item["namespace"], item["name"], item["generation"], options.timeout)
        for item in answer["results"]
        if item["kind"] == "Deployment"
    ]
    return max(waits, default=0)


def get(client: Client, options: argparse.Namespace) -> int:
    """Show things."""
    kind = kinds.SINGULAR.get(options.kind, options.kind)
    if kind in kinds.WITH_MANIFEST and options.name and options.output == "yaml":
        path = f"{kinds.path_of(kind, options.namespace, options.name)}manifest/"
        _print(client.call("GET", path, query={"format": "yaml"}).rstrip())
        return 0
    rows = _rows(client, kind, options)
    if options.output in {"json", "yaml"}:
        shown = rows[0] if options.name else rows
        is_yaml = options.output == "yaml"
        _print(
            yaml_form.dump(shown) if is_yaml else json.dumps(shown, indent=2, ensure_ascii=False)
        )
        return 0
    if not rows:
        sys.stderr.write(f"No {kind} found.\n")
        return 0
    wide = options.output == "wide"
    _print(tables.render(kind, rows, wide=wide, with_namespace=options.all_namespaces))
    for remark in tables.remarks(kind, rows):
        _print(remark)
    return 0


def delete(client: Client, options: argparse.Namespace) -> int:
    """Delete what a manifest names, or one thing by name."""
    if options.file:
        body = _read(options.file)
        answer = client.call("DELETE", "apply/", body=body, kind="application/yaml")
        for saved in answer["results"]:
            _print(f"{kinds.label(saved['kind'], saved['name'])} {saved['action']}")
        return 0
    kind, name = kinds.reference(options.target, allowed=(*kinds.NAMED, "replicas"))
    client.call("DELETE", str(kinds.path_of(kind, options.namespace, name)))
    if kind == "replicas":
        _print(f"replica/{name} is stopped; another takes its place")
    else:
        _print(f"{kinds.word(kind)}/{name} deleted")
    return 0


def scale(client: Client, options: argparse.Namespace) -> int:
    """Set the number of replicas."""
    _, name = kinds.reference(options.target)
    body = json.dumps({"replicas": options.replicas}).encode()
    client.call("POST", f"{_deployment(options.namespace, name)}scale/", body=body)
    _print(f"deployment/{name} scaled to {options.replicas}")
    return 0


def rollout(client: Client, options: argparse.Namespace) -> int:
    """Watch or steer a rollout."""
    _, name = kinds.reference(options.target)
    path = _deployment(options.namespace, name)
    if options.verb == "status":
        return waiting.wait(client, options.namespace, name, 0, options.timeout)
    if options.verb == "history":
        for row in client.call("GET", f"{path}revisions/")["results"]:
            mark = "*" if row["current"] else " "
            _print(f"{mark} {row['number']:>4}  {row['image']}  {row['author']}  {row['reason']}")
        return 0
    verb = "rollback" if options.verb == "undo" else options.verb
    words = {"revision": options.to_revision} if options.to_revision else {}
    answer = client.call("POST", f"{path}{verb}/", body=json.dumps(words).encode())
    _print(f"deployment/{name} {verb}: revision {answer['status']['revision']}")
    return 0


def logs(client: Client, options: argparse.Namespace) -> int:
    """Show a replica's log."""
    query = {"tail": options.tail, "follow": options.follow, "previous": options.previous}
    query = {key: str(value).lower() if value else "" for key, value in query.items()}
    for piece in client.stream(f"replicas/{options.name}/logs/", query):
        sys.stdout.buffer.write(piece)
        sys.stdout.flush()
    return 0


def retry(client: Client, options: argparse.Namespace) -> int:
    """Try a crash-looping replica now."""
    client.call("POST", f"replicas/{options.name}/retry/")
    _print(f"replica/{options.name} is tried again now")
    return 0


def cordon(client: Client, options: argparse.Namespace) -> int:
    """Close a node to new replicas, or open it."""
    client.call("POST", f"nodes/{options.name}/{options.command}/")
    _print(f"node/{options.name} {options.command}ed")
    return 0


def forget(client: Client, options: argparse.Namespace) -> int:
    """Write off a node that will not come back, with all that ran there."""
    client.call("POST", f"nodes/{options.name}/forget/")
    _print(f"node/{options.name} is forgotten")
    return 0


COMMANDS: dict[str, Callable[[Client, argparse.Namespace], int]] = {
    "apply": apply,
    "get": get,
    "delete": delete,
    "scale": scale,
    "expose": exposing.expose,
    "autoscale": autoscaling.autoscale,
    "rollout": rollout,
    "logs": logs,
    "exec": executing.execute,
    "port-forward": forwarding.forward,
    "retry": retry,
    "cordon": cordon,
    "uncordon": cordon,
    "drain": draining.drain,
    "rebalance": rebalancing.rebalance,
    "forget": forget,
    "join-token": joining.token,
    "label": marking.label,
    "taint": marking.taint,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("manage.py")
    commands = parser.add_subparsers(dest="command", required=True)
    made = {}
    for name, run in COMMANDS.items():
        made[name] = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        made[name].set_defaults(run=run)
    _add_manifest_options(made["apply"], made["delete"])
    _add_get_options(made["get"])
    for name in ("scale", "rollout", "delete"):
        made[name].add_argument("-n", "--namespace", default="default")
    made["scale"].add_argument("target", nargs="+", metavar="deployment/NAME")
    made["scale"].add_argument("--replicas", type=int, required=True)
    verbs = ("status", "history", "undo", "pause", "resume", "restart")
    made["rollout"].add_argument("verb", choices=verbs)
    made["rollout"].add_argument("target", nargs="+", metavar="deployment/NAME")
    made["rollout"].add_argument("--to-revision", type=int)
    made["rollout"].add_argument("--timeout", type=float, default=300)
    made["logs"].add_argument("-f", "--follow", action="store_true")
    made["logs"].add_argument("--tail", default="200", help="lines, or all")
    made["logs"].add_argument("--previous", action="store_true", help="of the run before")
    exposing.add_options(made["expose"])
    executing.add_options(made["exec"])
    forwarding.add_options(made["port-forward"])
    draining.add_options(made["drain"])
    joining.add_options(made["join-token"])
    rebalancing.add_options(made["rebalance"])
    marking.add_options(made["label"], made["taint"])
    autoscaling.add_options(made["autoscale"])
    for name in ("logs", "retry", "cordon", "uncordon", "forget"):
        made[name].add_argument("name")
    return parser


def _add_manifest_options(
    apply_: argparse.ArgumentParser, delete_: argparse.ArgumentParser
) -> None:
    apply_.add_argument("-f", "--file", required=True, help="manifest, folder, or - for stdin")
    apply_.add_argument("--wait", action="store_true", help="until the rollout is complete")
    apply_.add_argument("--timeout", type=float, default=300, help="seconds to wait")
    apply_.add_argument("--dry-run", action="store_true", help="show what would change")
    delete_.add_argument("-f", "--file", help="manifest, folder, or - for stdin")
    delete_.add_argument("target", nargs="*", metavar="deployment/NAME")


def _add_get_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=[*kinds.KINDS, *kinds.SINGULAR])
    parser.add_argument("name", nargs="?")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("-A", "--all-namespaces", action="store_true")
    parser.add_argument("-o", "--output", choices=("table", "wide", "json", "yaml"))
    parser.add_argument("--all", action="store_true", help="replicas that are gone, too")


def _rows(client: Client, kind: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    path = kinds.path_of(kind, options.namespace, options.name) if options.name else None
    if path is not None:
        try:
            return [client.call("GET", path)]
        except Refused as refusal:
            if refusal.status != 404 or kind != "replicas":
                raise
    query: dict[str, Any] = {"all": options.all}
    if kind in kinds.OF_NAMESPACE and not options.all_namespaces and kind != "events":
        query["namespace"] = options.namespace
    if options.name:
        query["search" if kind == "routes" else "deployment"] = options.name
    if kind in {"events", "jobs"}:
        answer = client.call("GET", f"{kind}/", query={**query, "page_size": 200})
        rows: list[dict[str, Any]] = answer["results"][::-1]
        return rows
    return list(client.pages(f"{kind}/", query))


def _deployment(namespace: str, name: str) -> str:
    return str(kinds.path_of("deployments", namespace, name))


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    path = Path(name)
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix in {".yaml", ".yml", ".json"})
        return b"\n---\n".join(file.read_bytes() for file in files)
    return path.read_bytes()


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

"""Which command does what; everything not named here is Django's."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from orchestrator.launch import environment

HELP = """\
usage: python3 manage.py COMMAND [OPTIONS]

  up          start everything here: broker, web, control worker, one node
  down        end it, and stop the containers it runs on this machine
  node        add a node worker to the control plane on this machine
  node token  print the command that makes another machine a node of this control plane
  node join   URL --token TOKEN: make this machine a node of a control plane elsewhere

  apply       make everything in a manifest so:  apply -f FILE|- [--wait] [--dry-run]
  get         deployments | autoscalers | replicas | nodes | jobs | events  [NAME] [-n NS]
              [-o wide|json|yaml]
  delete      -f FILE, or deployment NAME, or autoscaler NAME
  scale       deployment/NAME --replicas N
  autoscale   deployment/NAME --max N [--min N] [--cpu-percent N]
  rollout     status | history | undo | pause | resume | restart  deployment/NAME
  logs        REPLICA [-f] [--tail N] [--previous]
  exec        REPLICA [--timeout SECONDS] -- COMMAND [ARGUMENT …]
  retry       REPLICA    try a crash-looping replica now
  cordon      NODE       (and uncordon)
  forget      NODE       write off a node that will not come back
  drain       NODE [--plan] [--deadline SECONDS]    move everything off it, replacements first
  rebalance   [--plan | --cancel]    move a few replicas so that they are spread better
  label       NODE key=value | key-
  taint       NODE key=value:Effect | key:Effect-

  test        install what the tests need and run them
  check_code  format, lint, import rules, types, migrations
  bench       run a benchmark of tests/benchmarks

Every command knows --help. Anything else is a Django command (migrate, shell, …).
"""


def run(arguments: Sequence[str]) -> None:
    """Run one command line."""
    if not arguments or arguments[0] in {"help", "-h", "--help"}:
        sys.stdout.write(HELP)
        return
    name, rest = arguments[0], list(arguments[1:])
    try:
        _command(name)(rest)
    except environment.Unready as problem:
        sys.exit(f"kijabi: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)


def _command(name: str) -> Callable[[list[str]], None]:
    from orchestrator.cli import main as client  # noqa: PLC0415, keeps every start light
    from orchestrator.launch import development, nodes, stack  # noqa: PLC0415, as above

    own: dict[str, Callable[[list[str]], None]] = {
        "up": stack.up,
        "down": stack.down,
        "node": nodes.node,
        "test": development.test,
        "check_code": development.check_code,
        "bench": development.bench,
        **dict.fromkeys(client.COMMANDS, lambda rest: client.main([name, *rest])),
    }
    return own.get(name, lambda rest: _django([name, *rest]))


def _django(arguments: list[str]) -> None:
    environment.enter()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "orchestrator.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415, after enter

    execute_from_command_line(["manage.py", *arguments])

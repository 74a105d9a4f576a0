"""`python -m worker.stop_all`: stop this cluster's containers and routes on this machine (`down`).

What is wanted stays as it is: the next `up` starts it all again.
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from worker.app import choose_runtimes
from worker.config import WorkerConfig
from worker.gateway import assembly
from worker.identity import Identity, NoIdentity, path_in
from worker.runtimes.base import ContainerInfo, ContainerRuntime, RuntimeFailure

GRACE_SECONDS = 10


def main() -> None:
    """Stop and remove, in parallel; say what was done."""
    home = Path(os.environ.get("KIJABI_HOME", ".kijabi"))
    names = sorted(path.name for path in (home / "nodes").glob("*") if path.is_dir())
    if not names:
        print("kijabi: nothing was ever run here")  # noqa: T201, a command's answer
        return
    found: list[tuple[ContainerRuntime, ContainerInfo]] = []
    all_removed = True
    for name in names:
        config = WorkerConfig.from_env(node=name, identity=_identity(home, name))
        all_removed &= _unroute(config)
        for runtime in choose_runtimes(config).values():
            found += [(runtime, info) for info in runtime.list()]
    with ThreadPoolExecutor(16) as threads:
        stopped = sum(threads.map(_stop, found))
    print(f"kijabi: {stopped} of {len(found)} containers stopped")  # noqa: T201, as above
    sys.exit(0 if stopped == len(found) and all_removed else 1)


def _unroute(config: WorkerConfig) -> bool:
    """End the node's gateway, and remove what it left in the kernel."""
    problem = assembly.remove(config)
    if problem:
        print(f"kijabi: the routes of {config.node} are still there: {problem}")  # noqa: T201
    return not problem


def _identity(home: Path, node: str) -> Identity | None:
    try:
        return Identity.load(path_in(home, node))
    except NoIdentity:
        # It ran here before nodes had one: its containers carry this folder's cluster id.
        return None


def _stop(target: tuple[ContainerRuntime, ContainerInfo]) -> bool:
    runtime, info = target
    try:
        runtime.stop(info.name, GRACE_SECONDS)
        runtime.remove(info.name)
    except RuntimeFailure as failure:
        print(f"kijabi: {info.name} could not be stopped: {failure}")  # noqa: T201, as above
        return False
    return True


if __name__ == "__main__":
    main()

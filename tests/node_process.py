"""`python -m tests.node_process`: a node worker as it is, but for its pretended containers."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from worker import __main__ as program
from worker import app as composition
from worker.config import WorkerConfig, home_of, name_of
from worker.identity import Identity, path_in
from worker.labels import Owner
from worker.runtimes.memory import InMemoryRuntime


def run(make: Callable[[Owner], InMemoryRuntime] = InMemoryRuntime) -> int:
    """Be the node that the environment names until told to end; return the exit status."""
    identity = Identity.load(path_in(home_of(os.environ), name_of(os.environ)))
    config = WorkerConfig.from_env(identity=identity)
    composition.configure(config)
    runtime = make(Owner(cluster=config.cluster, node=config.node))
    node = composition.build(config, identity, {"in-memory": runtime}, composition.send_report)
    composition.install(node)
    node.start()
    return program._consume(config)


if __name__ == "__main__":
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    sys.exit(run())

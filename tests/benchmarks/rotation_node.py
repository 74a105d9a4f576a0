"""`python -m tests.benchmarks.rotation_node FOLDER`: a node with probes that pass for a file.

It writes when the result of a probe changes to FOLDER/log: `name 1 seconds`.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from tests import node_process
from worker.labels import Owner
from worker.runtimes.base import ExecResult
from worker.runtimes.memory import InMemoryRuntime


class SwitchedRuntime(InMemoryRuntime):
    """Pretended containers; the probe `ready NAME` passes while FOLDER/NAME exists."""

    def __init__(self, owner: Owner, folder: Path) -> None:
        super().__init__(owner)
        self._folder = folder
        self._latest: dict[str, bool] = {}

    def exec(self, name: str, argv: tuple[str, ...], *_: object, **__: object) -> ExecResult:
        """Tell whether the file is there."""
        del name
        found = (self._folder / argv[1]).exists()
        if self._latest.get(argv[1]) is not found:
            self._latest[argv[1]] = found
            with (self._folder / "log").open("a") as log:
                log.write(f"{argv[1]} {found:d} {time.time()}\n")
        return ExecResult(exit_code=0 if found else 1, output="")


if __name__ == "__main__":
    logging.basicConfig(level="WARNING", stream=sys.stderr)
    sys.exit(node_process.run(lambda owner: SwitchedRuntime(owner, Path(sys.argv[1]))))

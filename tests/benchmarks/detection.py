"""How soon a node's failure is noticed and mended, and how often one is given up without reason.

    python3 manage.py bench detection [--rounds 10] [--hogs 60] [--node-hours 1000000]

Needs root and Docker: three nodes on machines of their own (network namespaces), first with the
default times, then set for speed. For hours of load see `alarms`.
Detection: from the cut of the cable, or kill -9 of a worker and its supervisor, until the node is
lost, and until all its replicas are replaced elsewhere. Under load: two busy processes for each
core, `nice`d in the first half of the time and not in the second; no node may be given up.

Simulated node-hours ask `core/liveness.py` alone, with the default times; nodes, network and clock
are faked. Every interval is up to 30 % shorter or longer than it should be, and some answers never
come. Only runs of three and more missing in a row are looked at one by one: shorter ones cannot
make a node suspect, and how many there are to so many hours is known.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestrator.core.lifecycle import NodeState
from orchestrator.core.liveness import Hearing, Timing, judge
from tests import fleet
from tests.fleet import Fleet, NodeMachine

REPLICAS, LOST_SECONDS = 6, 3.0
# Other programs may keep the machine busy: what is measured may take long, and is still told.
PATIENCE = 120.0
JITTER, MISSING = 0.3, (0.02, 0.05)
SHORTEST_RUN = 3
LONGEST_SIMULATION = 120.0
NOW = datetime(2026, 1, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=1)
BUSY = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--hogs", type=float, default=60, help="seconds of load")
    parser.add_argument("--node-hours", type=float, default=1e6)
    options = parser.parse_args()
    for missing in MISSING:
        simulate(options.node_hours, missing)
    for lost_seconds in (None, LOST_SECONDS):
        with (
            tempfile.TemporaryDirectory() as folder,
            fleet.running(Path(folder), "a", "b", "c", lost_seconds=lost_seconds) as made,
        ):
            made.apply("web", replicas=REPLICAS)
            made.stack.wait_for(lambda made=made: made.is_whole(REPLICAS), PATIENCE)
            asked = lost_seconds or Timing().lost.total_seconds()
            print(f"lost after {asked} s of silence, {REPLICAS} replicas on 3 nodes", flush=True)
            detect(made, "cut", lambda node: node.machine.unplug(), options.rounds, asked)
            detect(made, "kill -9", NodeMachine.kill, options.rounds, asked)
            load(made, options.hogs)


def detect(
    made: Fleet, what: str, fail: Callable[[NodeMachine], None], rounds: int, asked: float
) -> None:
    """Let the node with the most replicas fail, again and again; print how long it took."""
    lost, replaced = [], []
    for _ in range(rounds):
        name = max(made.nodes, key=lambda name: len(made.containers(name)))
        began = time.monotonic()
        fail(made.nodes[name])
        made.await_states(PATIENCE, **{name: "lost"})
        lost.append(time.monotonic() - began)
        made.await_replaced(name, count=REPLICAS, seconds=PATIENCE)
        replaced.append(time.monotonic() - began)
        heal(made, name)
    show(f"{what} → lost", lost, asked)
    show(f"{what} → all replaced", replaced, asked)


def heal(made: Fleet, name: str) -> None:
    """Bring the node back."""
    node = made.nodes[name]
    node.machine.heal()
    if node.process is None or node.process.poll() is not None:
        node.start()
    made.await_states(PATIENCE, **{name: "ready"})
    made.stack.wait_for(lambda: made.is_whole(REPLICAS), PATIENCE)


def load(made: Fleet, seconds: float) -> None:
    """Keep all cores busy; print how many nodes were suspected and given up."""
    made.mark()
    for words in (["nice", "-n", "10"], []):
        with busy(words):
            time.sleep(seconds / 2)
    found = made.reasons()
    cores = os.cpu_count() or 1
    print(
        f"{2 * cores} busy processes on {cores} cores for {seconds:.0f} s: "
        f"{found.count('NodeSuspect')} times suspect, {found.count('NodeLost')} given up"
    )


@contextmanager
def busy(words: list[str]) -> Iterator[None]:
    """Run two busy processes for each core."""
    command = [*words, sys.executable, "-c", BUSY]
    hogs = [subprocess.Popen(command) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def simulate(node_hours: float, missing: float) -> None:
    """Ask the pure judgement about runs of missing answers; count nodes that are given up."""
    timing, chance, began = Timing(), random.Random(1), time.monotonic()
    answers = node_hours * timedelta(hours=1) / timing.ping
    runs = round(answers * (1 - missing) * missing**SHORTEST_RUN)
    done, suspected, lost = 0, 0, 0
    while done < runs and time.monotonic() - began < LONGEST_SIMULATION:
        worst = worst_of_run(timing, missing, chance)
        suspected += worst is not NodeState.READY
        lost += worst is NodeState.LOST
        done += 1
    hours = node_hours * done / max(1, runs)
    bound = f", below {3 / hours:.0e} an hour (rule of three)" if lost == 0 else ""
    print(
        f"simulated nodes, {missing:.0%} of answers missing, {hours:,.0f} node-hours in "
        f"{time.monotonic() - began:.0f} s: {suspected} times suspect, {lost} given up{bound}"
    )


def worst_of_run(timing: Timing, missing: float, chance: random.Random) -> NodeState:
    """Return what a node that is well is taken for at the end of a run of missing answers."""
    length = SHORTEST_RUN
    while chance.random() < missing:
        length += 1
    # The look before the next answer comes: the silence is longest then.
    intervals = (timing.ping * (1 + chance.uniform(-JITTER, JITTER)) for _ in range(length + 1))
    heard_at = NOW - sum(intervals, timedelta(0))
    others = [Hearing(name=n, state=NodeState.READY, heard_at=NOW, told_at=NOW) for n in "bc"]
    node = Hearing(name="a", state=NodeState.READY, heard_at=heard_at, told_at=heard_at)
    found = judge([node, *others], now=NOW, listening_since=LONG_AGO, timing=timing)
    return found.states["a"]


def show(what: str, values: list[float], asked: float) -> None:
    ratio = statistics.median(values) / asked
    print(
        f"{what}: median {statistics.median(values):.2f} s ({ratio:.2f} × the silence asked for), "
        f"worst {max(values):.2f} s of {len(values)}",
        flush=True,
    )


if __name__ == "__main__":
    main()

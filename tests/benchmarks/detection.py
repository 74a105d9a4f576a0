"""How soon a node's failure is noticed and mended, and how often one is given up without reason.

    python3 manage.py bench detection [--rounds 10] [--hogs 60] [--node-hours 1000000]

Needs root and Docker: three nodes on machines of their own (network namespaces), set for speed.
Detection: from the cut of the cable, or kill -9 of a worker and its supervisor, until the node is
lost, and until all its replicas are replaced elsewhere. Under load: two busy processes for each
core, `nice`d in the first half of the time and not in the second; no node may be given up.

Simulated node-hours ask `core/liveness.py` alone, with the default times: answers are late by up to
30 % of a ping plus, now and then, a stall of up to two seconds; nodes, network and clock are faked.
"""

from __future__ import annotations

import argparse
import math
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
from tests.fleet import Fleet

REPLICAS = 6
JITTER, STALL_SECONDS, STALLS = 0.3, 2.0, 0.01
LONGEST_SIMULATION = 120.0
BUSY = "while True: pass"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--hogs", type=float, default=60, help="seconds of load")
    parser.add_argument("--node-hours", type=float, default=1e6)
    options = parser.parse_args()
    simulate(options.node_hours)
    with tempfile.TemporaryDirectory() as folder:
        with fleet.running(Path(folder), "a", "b", "c") as made:
            made.apply("web", replicas=REPLICAS)
            made.stack.wait_for(lambda: made.is_whole(REPLICAS))
            print(f"lost after {fleet.LOST_SECONDS} s of silence, {REPLICAS} replicas on 3 nodes")
            detect(made, "cut", lambda: made.nodes["c"].machine.unplug(), options.rounds)
            detect(made, "kill -9", lambda: made.nodes["c"].kill(), options.rounds)
            load(made, options.hogs)


def detect(made: Fleet, what: str, fail: Callable[[], None], rounds: int) -> None:
    """Let one node fail again and again; print how long each step took."""
    lost, replaced = [], []
    for _ in range(rounds):
        began = time.monotonic()
        fail()
        made.await_states(c="lost")
        lost.append(time.monotonic() - began)
        made.await_replaced("c", count=REPLICAS)
        replaced.append(time.monotonic() - began)
        heal(made)
    show(f"{what} → lost", lost)
    show(f"{what} → all replaced", replaced)


def heal(made: Fleet) -> None:
    """Bring the node back, and some replicas onto it again."""
    node = made.nodes["c"]
    node.machine.heal()
    if node.process is None or node.process.poll() is not None:
        node.start()
    made.await_states(c="ready")
    made.stack.wait_for(lambda: made.is_whole(REPLICAS))
    made.stack.run("rollout", "restart", "deployment/web")
    made.stack.wait_for(lambda: is_spread(made), 60)


def is_spread(made: Fleet) -> bool:
    return made.is_whole(REPLICAS) and len(made.containers("c")) == REPLICAS // 3


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


def simulate(node_hours: float) -> None:
    """Ask the pure judgement about answers that come late, and count nodes that are given up."""
    timing, chance = Timing(), random.Random(1)
    nodes, second = 50, timing.ping.total_seconds()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    looks = math.ceil(node_hours * 3600 / nodes / second)
    suspected, lost, look, began = 0, 0, 0, time.monotonic()
    while look < looks and (look % 1000 or time.monotonic() - began < LONGEST_SIMULATION):
        look += 1
        now = start + timedelta(seconds=look * second)
        hearings = [hearing(str(node), now, chance) for node in range(nodes)]
        states = judge(hearings, now=now, listening_since=start - timing.lost, timing=timing).states
        suspected += sum(state is NodeState.SUSPECT for state in states.values())
        lost += sum(state is NodeState.LOST for state in states.values())
    hours = look * nodes * second / 3600
    bound = f", below {3 / hours:.1e} an hour (rule of three)" if lost == 0 else ""
    print(
        f"simulated nodes, {hours:,.0f} node-hours in {time.monotonic() - began:.0f} s: "
        f"{suspected} times suspect, {lost} given up{bound}"
    )


def hearing(name: str, now: datetime, chance: random.Random) -> Hearing:
    """Return a node that is well, whose latest answer is as old as chance has it."""
    late = 1 + chance.uniform(-JITTER, JITTER)
    if chance.random() < STALLS:
        late += chance.uniform(0, STALL_SECONDS)
    heard_at = now - timedelta(seconds=late)
    return Hearing(name=name, state=NodeState.READY, heard_at=heard_at, told_at=heard_at)


def show(what: str, values: list[float]) -> None:
    ratio = statistics.median(values) / fleet.LOST_SECONDS
    print(
        f"{what}: median {statistics.median(values):.2f} s ({ratio:.2f} × the silence asked for), "
        f"worst {max(values):.2f} s of {len(values)}"
    )


if __name__ == "__main__":
    main()

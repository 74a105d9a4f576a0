"""How often a node that is well is suspected or given up while every core is busy.

    python3 manage.py bench alarms [--minutes 60] [--every 5] [--nodes 3] [--hogs 1] [--nice 0]

Needs root and Docker: nodes on machines of their own (network namespaces), with the default times,
asked every second through their queues. So many busy processes for each core run beside them all
the time. Prints what there was so far every few minutes; Ctrl-C ends it early, with the same words.
At the end, with the load still there, one node is cut off: a watch that never bites is no good.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from tests import fleet
from tests.fleet import Fleet
from worker import protocol

REPLICAS_EACH = 2
LOOK_SECONDS, EVENTS_SECONDS = 0.1, 10.0
BUSY = "while True: pass"
ALARMS = ("NodeSuspect", "NodeLossDoubted", "NodeLost")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=5, help="minutes between two lines")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--hogs", type=int, default=1, help="busy processes for each core")
    parser.add_argument("--nice", type=int, default=0, help="of the busy processes")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = [f"n{number}" for number in range(1, options.nodes + 1)]
    with (
        tempfile.TemporaryDirectory() as folder,
        fleet.running(Path(folder), *names, lost_seconds=None) as made,
    ):
        replicas = REPLICAS_EACH * options.nodes
        made.apply("web", replicas=replicas)
        made.stack.wait_for(lambda: made.is_whole(replicas))
        with made.broker() as broker, busy(options.hogs, options.nice):
            watch = Watch(made, broker)
            try:
                watch.run(options.minutes * 60, every=options.every * 60)
            except KeyboardInterrupt:
                watch.show("interrupted")
            cut(made, names[0])


@contextmanager
def busy(for_each_core: int, nice: int) -> Iterator[None]:
    """Keep every core busy."""
    command = ["nice", "-n", str(nice), sys.executable, "-c", BUSY]
    hogs = [subprocess.Popen(command) for _ in range(for_each_core * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


@dataclass
class Watch:
    """What was heard of the nodes, and said of them, since it began."""

    fleet: Fleet
    broker: redis.Redis
    began: float = field(default_factory=time.monotonic)
    cores: tuple[int, int] = (0, 0)
    said: Counter[str] = field(default_factory=Counter)
    workers: dict[str, int] = field(default_factory=dict)
    latest: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    gaps: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet.mark()
        self.cores = ticks()
        self.workers = self._workers()

    def run(self, seconds: float, *, every: float) -> None:
        """Look on for so long."""
        tell, read = self.began + every, self.began + EVENTS_SECONDS
        while (now := time.monotonic()) < self.began + seconds:
            self._hear(now)
            if now >= read:
                read = now + EVENTS_SECONDS
                self._read_events()
            if now >= tell:
                tell += every
                self.show("so far")
            time.sleep(LOOK_SECONDS)
        self._read_events()
        self.show("at the end")

    def _hear(self, now: float) -> None:
        """Note when a node's answer is another than before."""
        answers = self.broker.mget([protocol.heard_key(name) for name in self.fleet.nodes])
        for name, answer in zip(self.fleet.nodes, answers, strict=True):
            before = self.latest.get(name)
            if before is None or before[0] != answer:
                self.latest[name] = (answer, now)
                if before is not None:
                    self.gaps.append(now - before[1])

    def _read_events(self) -> None:
        self.said.update(self.fleet.reasons())
        self.fleet.mark()

    def show(self, when: str) -> None:
        """Print one line."""
        (idle, all_ticks), now = ticks(), time.monotonic()
        worked = 1 - (idle - self.cores[0]) / max(1, all_ticks - self.cores[1])
        again = sum(self._workers()[name] != pid for name, pid in self.workers.items())
        alarms = ", ".join(f"{self.said[reason]} {reason}" for reason in ALARMS)
        print(
            f"{(now - self.began) / 60:.1f} min {when}: {alarms}; {len(self.gaps)} answers, "
            f"{statistics.median(self.gaps):.2f} s apart, longest {max(self.gaps):.2f} s; "
            f"{again} workers restarted; cores {worked:.0%} busy, load {os.getloadavg()[1]:.1f}",
            flush=True,
        )

    def _workers(self) -> dict[str, int]:
        return {name: node.worker_pid for name, node in self.fleet.nodes.items()}


def ticks() -> tuple[int, int]:
    """Return how long the cores have been idle, and how long there have been cores."""
    values = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return values[3] + values[4], sum(values)


def cut(made: Fleet, name: str) -> None:
    """Cut one node off, and print how long it took until it was lost."""
    began = time.monotonic()
    made.nodes[name].machine.unplug()
    made.await_states(40, **{name: "lost"})
    print(f"then, under the same load, {name} cut off: lost after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main()

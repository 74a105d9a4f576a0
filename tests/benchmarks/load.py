"""The proof by load: no request fails while replicas are exchanged, and few when something dies.

    python3 manage.py bench load [--rate 200] [--requests 100000] [--replicas 10]

Needs root, Docker and nftables. A control plane and two nodes run here, with real containers; the
load comes at a fixed rate from a process of its own: through the service's address and through the
HTTP gateways of both nodes, on connections that are kept and on new ones. Nothing is repeated, and
times count from when a request was due. While it goes on, replicas are exchanged in turn, until so
many requests were sent; then replicas, gateways and agents are killed, and the control plane is
stopped, also with all agents.

It ends with 1 unless no request failed while replicas were exchanged, agents died and the control
plane was away, with a p99 below five times the idle one, and what was killed cost at most a second.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests import docker_engine, networks, open_load, site
from tests.open_load import Outcome
from tests.site import Site

IDLE = "idle"
MOST_RATIO, MOST_OUTAGE_SECONDS = 5.0, 1.0
# Later than this, it is the machine that is measured, which is too busy to send what it should.
MOST_LATE_SECONDS = 0.1
# Before and after what is killed, so that the request that met it is in the same phase.
MARGIN_SECONDS = 2.0
ROUNDS_OF_KILLS = 2


@dataclass
class Phase:
    """When something happened, once or several times; `may_fail` where something is killed."""

    name: str
    may_fail: bool = False
    spans: list[tuple[float, float]] = field(default_factory=list)

    def of(self, outcomes: list[Outcome]) -> list[Outcome]:
        return [one for one in outcomes if any(a <= one.due < b for a, b in self.spans)]

    def outages(self, outcomes: list[Outcome]) -> list[float]:
        """Return the seconds during which requests failed, for each time."""
        return [
            open_load.outage([one for one in outcomes if a <= one.due < b]) for a, b in self.spans
        ]


class Course:
    """What is done while the load goes on."""

    def __init__(self, made: Site, rate: float) -> None:
        self._site = made
        self._rate = rate
        self.began = time.monotonic()
        self.phases: dict[str, Phase] = {}

    def sent(self) -> float:
        return (time.monotonic() - self.began) * self._rate

    def wait(self, seconds: float) -> None:
        self.act(IDLE, lambda: time.sleep(seconds))

    def act(self, name: str, work: Callable[[], object]) -> None:
        with self._phase(name):
            work()

    def kill(self, name: str, work: Callable[[], object], *, may_fail: bool = True) -> None:
        with self._phase(name, may_fail=may_fail):
            time.sleep(MARGIN_SECONDS)
            work()
            time.sleep(MARGIN_SECONDS)

    @contextmanager
    def _phase(self, name: str, *, may_fail: bool = False) -> Iterator[None]:
        phase = self.phases.setdefault(name, Phase(name, may_fail))
        began = time.monotonic()
        yield
        phase.spans.append((began, time.monotonic()))
        print(f"  {name}: {time.monotonic() - began:.1f} s", flush=True)

    def exchange(self) -> None:
        """Exchange replicas in every way there is."""
        made = self._site
        self.act("rolling update", made.update)
        self.act("scale up", lambda: made.scale(made.count + 4))
        self.act("scale down", lambda: made.scale(made.count))
        for node in made.nodes:
            self.act("drain of a node", lambda node=node: made.drain(node))
        self.act("rollback", made.roll_back)
        self.act("end of one replica", made.end_one)

    def kills(self, seconds_away: float) -> None:
        """Kill what can be killed, and stop the control plane."""
        made = self._site
        for turn in range(ROUNDS_OF_KILLS):
            node = made.nodes[turn % len(made.nodes)]
            self.kill("kill -9 of a replica", made.kill_one)
            self.kill("kill -9 of a gateway", node.kill_caddy)
            self.kill("kill -9 of an agent", node.kill_agent, may_fail=False)
        self.act("control plane stopped", lambda: made.be_away(seconds_away))
        self.act("agents stopped as well", lambda: made.be_away(seconds_away, with_agents=True))


def main() -> None:
    options = _options()
    if why := docker_engine.why_missing() or networks.why_missing():
        sys.exit(f"this benchmark cannot run: {why}")
    with (
        tempfile.TemporaryDirectory() as folder,
        site.running(Path(folder), count=options.replicas) as made,
    ):
        ways = made.ways(life_seconds=options.connection_seconds)
        with open_load.running(ways, options.rate) as load:
            course = Course(made, options.rate)
            course.wait(options.idle)
            while course.sent() < options.requests:
                course.exchange()
                course.wait(options.idle / 6)
            course.kills(options.away)
        status = _tell(course, load.outcomes, by_way=options.by_way)
    sys.exit(status)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=200, help="requests a second, all together")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--replicas", type=int, default=10)
    parser.add_argument("--idle", type=float, default=60, help="seconds before anything happens")
    parser.add_argument("--away", type=float, default=60, help="seconds without control plane")
    parser.add_argument(
        "--connection-seconds",
        type=float,
        default=5,
        help="how long clients use a connection that they keep (0: for ever)",
    )
    parser.add_argument("--by-way", action="store_true", help="tell each way's figures as well")
    return parser.parse_args()


def _tell(course: Course, outcomes: list[Outcome], *, by_way: bool) -> int:
    """Print the figures; return 1 if they do not prove what they are to prove."""
    idle = open_load.percentile(course.phases[IDLE].of(outcomes), 99)
    late = sorted(one.late for one in outcomes)[int(len(outcomes) * 0.99)]
    complaints = []
    if late > MOST_LATE_SECONDS:
        complaints.append(f"the load itself came {late:.1f} s late (p99): choose a lower rate")
    print(f"{len(outcomes)} requests, {sum(bool(one.fault) for one in outcomes)} failed")
    for phase in course.phases.values():
        found = phase.of(outcomes)
        _line(phase.name, found, idle)
        if by_way:
            for way in sorted({one.way for one in found}):
                _line(f"  {way}", [one for one in found if one.way == way], idle)
        complaints += _complaints(phase, found, idle)
        if phase.may_fail:
            outages = ", ".join(f"{seconds * 1e3:.0f}" for seconds in phase.outages(outcomes))
            print(f"    requests failed for {outages} ms")
            if max(phase.outages(outcomes)) > MOST_OUTAGE_SECONDS:
                complaints.append(f"{phase.name}: requests failed for too long")
    for complaint in complaints:
        print(f"NOT PROVED: {complaint}")
    return 1 if complaints else 0


def _complaints(phase: Phase, found: list[Outcome], idle: float) -> Iterator[str]:
    if phase.may_fail:
        return
    if faults := open_load.faults(found):
        yield f"{phase.name}: {faults.total()} requests failed"
    ratio = open_load.percentile(found, 99) / idle
    if ratio >= MOST_RATIO:
        yield f"{phase.name}: the p99 is {ratio:.1f} times the idle one"


def _line(name: str, found: list[Outcome], idle: float) -> None:
    middle, high, most = (open_load.percentile(found, p) * 1e3 for p in (50, 99, 100))
    faults = open_load.faults(found)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))
    print(
        f"{name:28} {len(found):7} requests, {faults.total():4} failed; p50 {middle:6.1f} ms, "
        f"p99 {high:7.1f} ms ({high / 1e3 / idle:4.1f} × idle), max {most:7.0f} ms"
        f"{f'; {told}' if told else ''}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""What a node tells of itself and its replicas: rates, never guesses."""

from __future__ import annotations

import threading
from dataclasses import replace

from tests.machine import NAME, START, Machine
from worker import measured, protocol
from worker.runtimes.base import FailureReason, RuntimeFailure
from worker.sampler import Sampler

SECOND = 10**9


def sampler_of(machine: Machine, sent: list | None = None, seconds: float = 5.0) -> Sampler:
    taken = sent if sent is not None else []

    def send(report: dict) -> bool:
        taken.append(report)
        return True

    return Sampler("n", 1, machine.agent, send, seconds=seconds)


def running(machine: Machine) -> str:
    """Let one replica run; return its container's name."""
    machine.do(START)
    return NAME


def test_the_first_look_tells_nothing(machine: Machine):
    assert sampler_of(machine).sample(monotonic=0.0, now=1.0) is None


def test_rates_are_those_of_the_time_between_two_looks(machine: Machine):
    name, sampler = running(machine), sampler_of(machine)
    sampler.sample(monotonic=0.0, now=1.0)
    machine.runtime.use(name, cpu_nanoseconds=SECOND, memory_bytes=4096)

    report = sampler.sample(monotonic=4.0, now=5.0)

    [replica] = report.replicas
    assert replica.used == measured.Measured(cpu_millis=250, memory_bytes=4096)
    assert (report.node, report.sequence, report.seconds, report.sent_at) == ("n", 1, 4.0, 5.0)
    assert report.used.memory_bytes > 0


def test_a_replica_that_is_new_or_started_anew_has_no_cpu_yet(machine: Machine):
    sampler = sampler_of(machine)
    sampler.sample(monotonic=0.0, now=1.0)
    running(machine)
    fresh = sampler.sample(monotonic=1.0, now=2.0).replicas[0]
    machine.crash()

    again = sampler.sample(monotonic=2.0, now=3.0).replicas[0]

    assert (fresh.used.cpu_millis, again.used.cpu_millis) == (None, None)
    assert (fresh.restarts, again.restarts) == (0, 1)


def test_a_counter_that_went_back_is_no_rate(machine: Machine):
    name, sampler = running(machine), sampler_of(machine)
    machine.runtime.use(name, cpu_nanoseconds=SECOND)
    sampler.sample(monotonic=0.0, now=1.0)
    machine.runtime.use(name, cpu_nanoseconds=-SECOND)

    assert sampler.sample(monotonic=1.0, now=2.0).replicas[0].used.cpu_millis is None


def test_an_engine_that_is_away_costs_its_replicas_and_one_line_of_log(machine: Machine, caplog):
    running(machine)
    sampler = sampler_of(machine)
    machine.runtime.faults.engine_down = True

    reports = [sampler.sample(monotonic=float(i), now=float(i)) for i in range(3)]

    assert [report.replicas for report in reports[1:]] == [(), ()]
    assert caplog.text.count("cannot be measured") == 1


def test_a_look_that_fails_does_not_end_the_thread(machine: Machine, monkeypatch, caplog):
    sent: list[dict] = []
    sampler = sampler_of(machine, sent, seconds=0.01)
    failures = [RuntimeError("a bug"), RuntimeFailure(FailureReason.UNKNOWN, "no")]
    real, told = type(machine.agent).running, threading.Event()

    def look(agent):
        if failures:
            raise failures.pop()
        told.set() if sent else None
        return real(agent)

    monkeypatch.setattr(type(machine.agent), "running", look)
    sampler.start()

    assert told.wait(5)
    sampler.close()
    assert protocol.from_wire(measured.MetricsReport, sent[0]).node == "n"


def test_what_is_told_comes_back_as_it_was(machine: Machine):
    running(machine)
    sampler = sampler_of(machine)
    sampler.sample(monotonic=0.0, now=1.0)
    report = sampler.sample(monotonic=1.0, now=2.0)

    wire = protocol.to_wire(report)

    assert protocol.from_wire(measured.MetricsReport, wire) == replace(report)

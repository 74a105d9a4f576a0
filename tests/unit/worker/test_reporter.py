"""Reports under trouble: brokers that refuse, large nodes, deaths told once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator

import pytest

from worker import protocol, reporter
from worker.protocol import LatestDeath, NodePhase, ReplicaStatus, RoutingStatus
from worker.reporter import Reporter


class Desk:
    """Takes reports, or refuses them, or breaks."""

    def __init__(self) -> None:
        self.taken: list[dict[str, object]] = []
        self.answer: bool | Exception = True
        self.replicas: dict[str, ReplicaStatus] = {}

    def send(self, report: dict[str, object]) -> bool:
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer:
            self.taken.append(report)
        return self.answer

    def statuses(self, uids: Iterable[str] | None) -> list[ReplicaStatus]:
        return [s for uid, s in self.replicas.items() if uids is None or uid in set(uids)]

    def died(self, uid: str, at: float) -> None:
        death = LatestDeath(finished_at=at, exit_code=1, log_tail=f"words of {at:g}")
        self.replicas[uid] = ReplicaStatus(uid=uid, epoch=1, phase=NodePhase.RUNNING, death=death)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def due(desk: Desk) -> Reporter:
    made = Reporter("n1", 7, protocol.NodeFacts, desk.send)
    made.attach(desk.statuses)
    return made


def tails(report: dict[str, object]) -> list[str]:
    return [status["death"].get("log_tail", "") for status in report["replicas"]]


def full(due: Reporter) -> None:
    due.ask_full()
    due.flush()


def test_the_log_of_a_death_is_told_once(desk: Desk, due: Reporter):
    desk.died("a", at=1)
    due.changed("a")
    due.flush()
    full(due)

    assert [tails(report) for report in desk.taken] == [["words of 1"], [""]]


def test_another_death_is_told_again(desk: Desk, due: Reporter):
    desk.died("a", at=1)
    due.flush()

    desk.died("a", at=2)
    full(due)

    assert tails(desk.taken[-1]) == ["words of 2"]


def test_a_log_that_no_broker_took_is_not_taken_for_told(desk: Desk, due: Reporter):
    desk.died("a", at=1)
    desk.answer = False
    assert not due.flush()

    desk.answer = True
    due.flush()

    assert tails(desk.taken[0]) == ["words of 1"]


def test_changes_of_a_large_node_are_told_in_portions(
    desk: Desk, due: Reporter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reporter, "MAX_PER_REPORT", 10)
    due.flush()
    for number in range(25):
        desk.died(f"r{number:02}", at=1)
        due.changed(f"r{number:02}")

    assert due.flush()

    sizes = [len(report.get("replicas", ())) for report in desk.taken[1:]]
    assert sizes == [10, 10, 5]
    sequences = [report["sequence"] for report in desk.taken]
    assert sequences == sorted(set(sequences))


@pytest.mark.parametrize("answer", [False, ConnectionError("away")])
def test_whatever_stops_a_report_leaves_everything_due(
    desk: Desk, due: Reporter, answer: bool | Exception
):
    desk.died("a", at=1)
    desk.answer = answer

    if isinstance(answer, Exception):
        with pytest.raises(ConnectionError):
            due.flush()
    else:
        assert not due.flush()

    desk.answer = True
    due.flush()
    assert desk.taken[0]["full"] is True
    assert len(desk.taken[0]["replicas"]) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "RETRY_SECONDS", 0.01)


def wait_for(look, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.002)


def test_the_first_report_waits_for_the_first_look_and_no_longer(desk: Desk, due: Reporter):
    has_looked = threading.Event()
    due.start(has_looked)
    time.sleep(0.1)
    assert desk.taken == []

    has_looked.set()

    wait_for(lambda: desk.taken)
    assert desk.taken[0]["full"] is True
    due.close()


@pytest.fixture
def running(desk: Desk, due: Reporter, monkeypatch) -> Iterator[Reporter]:
    """A reporter that has sent its first report and has nothing to say."""
    monkeypatch.setattr(reporter, "PASSING_SECONDS", 0.4)
    has_looked = threading.Event()
    has_looked.set()
    due.start(has_looked)
    wait_for(lambda: desk.taken)
    yield due
    due.close()


def test_what_is_soon_outdated_waits_for_better_news(desk: Desk, running: Reporter):
    running.passing("a")
    time.sleep(0.2)
    assert len(desk.taken) == 1

    running.changed("b")

    wait_for(lambda: len(desk.taken) == 2)
    time.sleep(0.4)
    assert len(desk.taken) == 2


def test_what_is_soon_outdated_is_told_when_no_better_news_come(desk: Desk, running: Reporter):
    running.passing("a")

    wait_for(lambda: len(desk.taken) == 2)


def ready(desk: Desk, uid: str) -> None:
    desk.replicas[uid] = ReplicaStatus(uid=uid, epoch=1, phase=NodePhase.RUNNING, ready=True)


def told(report: dict[str, object]) -> list[str]:
    return [status["uid"] for status in report["replicas"]]


@pytest.fixture
def patient(running: Reporter, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    """A reporter that would gather changes for ever."""
    monkeypatch.setattr(reporter, "COALESCE_SECONDS", 600.0)
    monkeypatch.setattr(reporter, "PAUSE_SECONDS", 600.0)
    return running


def test_that_a_replica_became_ready_waits_for_nothing(desk: Desk, patient: Reporter):
    for number, uid in enumerate(("a", "b", "c")):
        ready(desk, uid)
        patient.changed(uid)

        wait_for(lambda count=number + 2: len(desk.taken) == count)
        assert told(desk.taken[-1]) == [uid]


def test_one_that_is_as_ready_as_before_waits_for_more_to_tell(desk: Desk, patient: Reporter):
    ready(desk, "a")
    patient.changed("a")
    wait_for(lambda: len(desk.taken) == 2)

    patient.changed("a")
    ready(desk, "b")
    patient.changed("b")

    wait_for(lambda: len(desk.taken) == 3)
    assert told(desk.taken[-1]) == ["a", "b"]


def test_a_broken_report_does_not_end_reporting(desk: Desk, due: Reporter, quick: None):
    desk.answer = ZeroDivisionError()
    has_looked = threading.Event()
    has_looked.set()
    due.start(has_looked)
    time.sleep(0.1)

    desk.answer = True

    wait_for(lambda: desk.taken)
    due.close()


def test_everything_is_told_again_now_and_then(desk: Desk):
    due = Reporter("n1", 7, protocol.NodeFacts, desk.send, full_seconds=0.1)
    due.attach(desk.statuses)
    has_looked = threading.Event()
    has_looked.set()

    due.start(has_looked)

    wait_for(lambda: len([report for report in desk.taken if report.get("full")]) >= 3)
    due.close()


def test_what_the_gateways_do_is_told_at_once_and_in_every_full_report(desk: Desk, due: Reporter):
    due.attach_routing(lambda: RoutingStatus(generation=7))
    due.flush()

    due.tell_routing()
    full(due)
    due.changed("a")
    due.flush()

    told = [report.get("routing", {}).get("generation") for report in desk.taken]
    assert told == [7, 7, 7, None]


def test_routing_that_no_broker_took_is_told_later(desk: Desk, due: Reporter):
    due.attach_routing(lambda: RoutingStatus(generation=7))
    due.flush()
    desk.answer = False
    due.tell_routing()

    desk.answer = True
    due.flush()

    assert [report["routing"]["generation"] for report in desk.taken] == [7, 7]

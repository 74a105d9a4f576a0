"""The agent's parts: work queue, reporter, probes, wire format, watchdog, configuration."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import probes, protocol
from worker.config import WorkerConfig
from worker.probes import Answer, ProbeTrack
from worker.protocol import MalformedMessage, NodePhase, Probe, ProbeKind, ReplicaStatus
from worker.reporter import Reporter
from worker.runtimes.base import ContainerInfo, ContainerState, ExecResult
from worker.workqueue import WorkQueue


def test_a_key_is_handed_out_once():
    queue = WorkQueue()
    queue.add("a")
    queue.add("a")

    assert queue.get(block=False) == "a"
    assert queue.get(block=False) is None


def test_a_key_added_while_it_is_worked_on_comes_again_afterwards():
    queue = WorkQueue()
    queue.add("a")
    queue.get(block=False)

    queue.add("a")
    assert queue.get(block=False) is None

    queue.done("a")
    assert queue.get(block=False) == "a"


def test_a_later_key_waits_and_a_new_wish_replaces_the_old():
    now = [0.0]
    queue = WorkQueue(clock=lambda: now[0])
    queue.add_after("a", 1.0)
    queue.add_after("a", 5.0)

    now[0] = 2.0
    assert queue.get(block=False) is None
    now[0] = 5.0
    assert queue.get(block=False) == "a"
    queue.done("a")
    assert queue.get(block=False) is None


def test_closing_wakes_who_waits():
    queue = WorkQueue()
    found: list[str | None] = ["unset"]
    thread = threading.Thread(target=lambda: found.append(queue.get()))
    thread.start()

    queue.close()
    thread.join(2)

    assert found == ["unset", None]


@dataclass
class Desk:
    taken: list[dict[str, object]]
    works: bool = True

    def send(self, report: dict[str, object]) -> bool:
        if self.works:
            self.taken.append(report)
        return self.works


@pytest.fixture
def desk() -> Desk:
    return Desk([])


@pytest.fixture
def reporter(desk: Desk) -> Reporter:
    made = Reporter("n1", 7, protocol.NodeFacts, desk.send)
    every = [ReplicaStatus(uid=uid, epoch=1, phase=NodePhase.RUNNING) for uid in ("a", "b", "c")]
    made.attach(lambda uids: [s for s in every if uids is None or s.uid in uids])
    made.flush()
    return made


def uids(report: dict[str, object]) -> list[str]:
    return [status["uid"] for status in report.get("replicas", [])]


def test_the_first_report_is_full(reporter: Reporter, desk: Desk):
    assert desk.taken[0]["full"] is True
    assert uids(desk.taken[0]) == ["a", "b", "c"]
    assert desk.taken[0]["boot"] == 7


def test_changes_are_gathered_into_one_report(reporter: Reporter, desk: Desk):
    for uid in ("b", "a", "b"):
        reporter.changed(uid)

    reporter.flush()

    assert uids(desk.taken[1]) == ["a", "b"]
    assert desk.taken[1]["sequence"] > desk.taken[0]["sequence"]
    assert reporter.flush()
    assert len(desk.taken) == 2


def test_what_could_not_be_sent_stays_due(reporter: Reporter, desk: Desk):
    desk.works = False
    reporter.changed("a")
    assert not reporter.flush()

    desk.works = True
    reporter.changed("c")
    reporter.flush()

    assert uids(desk.taken[1]) == ["a", "c"]


class Answering(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def info(port: int = 0) -> ContainerInfo:
    return ContainerInfo(
        id="1",
        name="c",
        replica="r",
        epoch=1,
        state=ContainerState.RUNNING,
        address="127.0.0.1",
        ports=((80, port),),
    )


def nothing(_argv: tuple[str, ...], _limit: float) -> ExecResult:
    return ExecResult(exit_code=0, output="")


@pytest.mark.parametrize(
    ("status", "healthy"), [(200, True), (302, True), (400, False), (503, False)]
)
def test_http_is_healthy_from_200_to_399(port: int, status: int, healthy: bool):
    probe = Probe(kind=ProbeKind.HTTP, path=f"/{status}", port=80)

    assert probes.check(probe, info(port), nothing).healthy is healthy


def test_tcp_needs_somebody_to_listen(port: int):
    probe = Probe(kind=ProbeKind.TCP, port=80)

    assert probes.check(probe, info(port), nothing).healthy
    answer = probes.check(probe, info(1), nothing)
    assert not answer.healthy
    assert "refused" in answer.message


@pytest.mark.parametrize(("code", "healthy"), [(0, True), (1, False), (124, False)])
def test_exec_is_healthy_when_it_exits_with_zero(code: int, healthy: bool):
    probe = Probe(kind=ProbeKind.EXEC, command=("true",))

    answer = probes.check(probe, info(), lambda _a, _l: ExecResult(exit_code=code, output="x"))

    assert answer.healthy is healthy


GOOD, BAD = Answer(healthy=True), Answer(healthy=False, message="no")


def test_liveness_fails_after_so_many_in_a_row():
    track = ProbeTrack(Probe(kind=ProbeKind.TCP, failure_threshold=3), now=0.0, quick=False)
    for now, answer in enumerate([BAD, BAD, GOOD, BAD, BAD]):
        track.record(answer, float(now))
    assert track.passing is True

    track.record(BAD, 9.0)

    assert track.passing is False


def test_success_may_need_several_in_a_row():
    track = ProbeTrack(Probe(kind=ProbeKind.TCP, success_threshold=2), now=0.0, quick=False)
    for now, answer in enumerate([GOOD, BAD, GOOD]):
        track.record(answer, float(now))
    assert track.passing is None

    track.record(GOOD, 9.0)

    assert track.passing is True


def test_readiness_is_tried_quickly_at_first_without_counting_against_it():
    probe = Probe(kind=ProbeKind.TCP, period_seconds=10, failure_threshold=1)
    track = ProbeTrack(probe, now=0.0, quick=True)

    track.record(BAD, 0.1)
    assert track.next_at < 0.2
    track.record(BAD, 0.2)

    assert track.passing is None
    track.record(BAD, 10.5)
    assert track.passing is False


def test_the_initial_delay_is_kept():
    probe = Probe(kind=ProbeKind.TCP, initial_delay_seconds=5)
    track = ProbeTrack(probe, now=100.0, quick=True)

    assert not track.is_due(104.9)
    assert track.is_due(105.0)


_texts = st.text(max_size=20)
_resources = st.builds(
    protocol.Resources,
    cpu_limit_millis=st.none() | st.integers(1, 10**6),
    memory_limit_bytes=st.none() | st.integers(1, 10**12),
)
_statuses = st.builds(
    ReplicaStatus,
    uid=_texts,
    epoch=st.integers(0, 10),
    phase=st.sampled_from(NodePhase),
    ready=st.booleans(),
    reason=_texts,
    ports=st.lists(st.tuples(st.integers(), st.integers()), max_size=3).map(tuple),
    resources=st.none() | _resources,
    started_at=st.none() | st.floats(allow_nan=False),
)


@given(
    st.builds(
        protocol.NodeReport,
        node=_texts,
        boot=st.integers(),
        sequence=st.integers(),
        sent_at=st.floats(allow_nan=False),
        replicas=st.lists(_statuses, max_size=3).map(tuple),
    )
)
def test_a_message_survives_the_wire(report: protocol.NodeReport):
    import json

    wire = json.loads(json.dumps(protocol.to_wire(report)))

    assert protocol.from_wire(protocol.NodeReport, wire) == report


_junk = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)


@given(_junk, st.sampled_from(["uid", "replica", "version"]))
def test_junk_is_malformed_and_nothing_else(junk: object, key: str):
    good = {"uid": "j", "replica": {"uid": "r", "epoch": 1, "namespace": "d", "deployment": "w",
                                    "revision": 1, "slot": 0}}  # fmt: skip
    for wire in (junk, {**good, key: junk}):
        try:
            protocol.from_wire(protocol.StartJob, wire)
        except MalformedMessage:
            continue


def test_unknown_fields_are_ignored_and_newer_versions_refused():
    wire = {"node": "n", "boot": 1, "sequence": 1, "sent_at": 0.0, "colour": "blue", "version": 1}
    assert protocol.from_wire(protocol.NodeReport, wire).node == "n"

    with pytest.raises(MalformedMessage, match=r"version 2.*upgrade this side"):
        protocol.from_wire(protocol.NodeReport, {**wire, "version": 2})


def test_taints_to_begin_with_are_read():
    env = {"KIJABI_CLUSTER": "c", "KIJABI_NODE_TAINTS": "gpu=yes:NoSchedule, old:PreferNoSchedule"}

    config = WorkerConfig.from_env(env)

    assert config.taints == (("gpu", "yes", "NoSchedule"), ("old", "", "PreferNoSchedule"))


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"KIJABI_RUNTIME": "lxc"}, "use docker, sandbox"),
        ({"KIJABI_NODE_LABELS": "x"}, "key=value"),
        ({"KIJABI_NODE_TAINTS": "gpu=yes"}, "key=value:Effect"),
        ({"KIJABI_NODE_TAINTS": "gpu=yes:NoExecute"}, "NoSchedule or PreferNoSchedule"),
        ({"KIJABI_NODE_TAINTS": ":NoSchedule"}, "has ':NoSchedule'"),
        (
            {"KIJABI_START_THREADS": "0"},
            "KIJABI_START_THREADS is '0'; write a number of at least 1",
        ),
        ({"KIJABI_START_THREADS": "many"}, "KIJABI_START_THREADS"),
        ({"KIJABI_REPORT_SECONDS": "nan"}, "KIJABI_REPORT_SECONDS"),
    ],
)
def test_a_wrong_setting_is_told(env: dict[str, str], message: str):
    with pytest.raises(ValueError, match=message):
        WorkerConfig.from_env({"KIJABI_CLUSTER": "c", **env})

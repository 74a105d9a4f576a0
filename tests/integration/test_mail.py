"""What the control plane believes of a report's envelope, and what it sends to whom."""

from __future__ import annotations

import time

import pytest

from orchestrator.operations import mail, transport
from tests.cluster import Cluster, enrolled
from tests.letters import an_identity
from tests.machine import spec
from worker import protocol
from worker.assignments import AssignmentStore
from worker.identity import Identity
from worker.mailbox import Mailbox

NOW = 1_700_000_000.0


def report_of(node: str, **more: object) -> dict[str, object]:
    return protocol.to_wire(protocol.NodeReport(node=node, boot=1, sequence=1, sent_at=NOW)) | dict(
        more
    )


def signed(identity: Identity, tmp_path, report: dict[str, object]) -> dict[str, str]:
    store = AssignmentStore(tmp_path / "assignments.sqlite3")
    return Mailbox(identity, store, lambda: NOW).sign_report(report)


@pytest.mark.django_db
def test_a_nodes_own_report_is_read(tmp_path):
    wire = signed(enrolled("n1"), tmp_path, report_of("n1"))

    assert mail.read_report(wire, now=NOW).node == "n1"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("identity", "report", "later", "why"),
    [
        pytest.param(an_identity("n1"), report_of("n1"), 0, "forged", id="another's key"),
        pytest.param(None, report_of("n2"), 0, "forged", id="in another's name"),
        pytest.param(an_identity("n9"), report_of("n9"), 0, "unknown", id="never joined"),
        pytest.param(an_identity("\x00"), report_of("n1"), 0, "unknown", id="no name at all"),
        pytest.param(None, report_of("n1"), 700, "expired", id="late"),
        pytest.param(None, report_of("n1", version=2), 0, "newer", id="a newer protocol"),
        pytest.param(None, {"node": "n1"}, 0, "malformed", id="half a report"),
    ],
)
def test_a_report_is_not_believed(tmp_path, identity, report, later: float, why: str):
    known = enrolled("n1")
    before = mail.refusals.counts[why]

    assert mail.read_report(signed(identity or known, tmp_path, report), now=NOW + later) is None

    assert mail.refusals.counts[why] == before + 1


@pytest.mark.django_db
def test_a_node_that_never_joined_is_sent_nothing():
    assert not transport.publish(protocol.PING_TASK, "node.nobody", {"token": "t"})


def test_a_node_acts_on_nothing_but_letters(cluster: Cluster):
    before = len(cluster.reports)

    transport.publish(protocol.PING_TASK, "control", {"token": "t"})

    cluster.node.reporter.flush()
    assert len(cluster.reports) == before


def test_letters_carry_the_time_they_are_sent(cluster: Cluster):
    wire = mail.to_nodes(protocol.PING_TASK, {"n1": {"token": "t"}}, now=time.time())["n1"]

    assert cluster.node.mailbox.open(protocol.PING_TASK, wire)
    assert cluster.node.mailbox.open(protocol.STOP_TASK, wire) is None


def test_letters_to_many_nodes_take_as_many_queries_as_to_one(
    cluster: Cluster, django_assert_num_queries
):
    arguments = {name: {"token": "t"} for name in ("n1", "n2", "n3", "nobody")}
    for name in ("n2", "n3"):
        enrolled(name)

    with django_assert_num_queries(1):
        letters = mail.to_nodes(protocol.PING_TASK, arguments, now=time.time())

    assert letters.keys() == {"n1", "n2", "n3"}


def test_a_node_that_joins_again_gets_letters_sealed_to_its_new_key(cluster: Cluster):
    task = protocol.START_TASK
    job = protocol.to_wire(protocol.StartJob(uid="j1", replica=spec(env=(("KEY", "secret"),))))

    before = mail.to_nodes(task, {"n1": {"jobs": [job]}}, now=time.time())["n1"]
    enrolled("n1")
    after = mail.to_nodes(task, {"n1": {"jobs": [job]}}, now=time.time())["n1"]

    assert cluster.node.mailbox.open(task, before)
    assert cluster.node.mailbox.open(task, after) is None

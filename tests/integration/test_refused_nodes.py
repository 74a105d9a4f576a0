"""Nodes whose reports are dropped: one event that says what to do, however many reports come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.models import Event, Node
from orchestrator.operations import ingest, mail, refused_nodes
from tests.cluster import enrolled
from tests.integration.test_mail import NOW, report_of, signed
from tests.letters import an_identity


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_nodes, "_seen", {})
    monkeypatch.setattr(refused_nodes, "_told", {})
    monkeypatch.setattr(refused_nodes, "_latest", {})


def told() -> list[tuple[str, str]]:
    rows = Event.objects.filter(reason=refused_nodes.REASON).order_by("pk")
    return [(event.node, event.message) for event in rows]


@pytest.mark.django_db
def test_a_newer_node_is_told_of_once_in_ten_minutes(tmp_path):
    wire = signed(enrolled("n1"), tmp_path, report_of("n1", version=2))

    for second in (0, 1, 2, 599, 601):
        mail.read_report(wire, now=NOW + second)

    assert [node for node, _ in told()] == ["n1", "n1"]
    assert "speaks protocol version 2" in told()[0][1]
    assert "upgrade the control plane first" in told()[0][1]


@pytest.mark.django_db
def test_a_clock_that_is_wrong_is_told_of_when_it_goes_on(tmp_path):
    wire = signed(enrolled("n1"), tmp_path, report_of("n1"))

    mail.read_report(wire, now=NOW - 3600)
    before = told()
    mail.read_report(wire, now=NOW - 3600 + 40)

    assert before == []
    assert [node for node, _ in told()] == ["n1"]
    assert "the clock of node n1 is 3560 s ahead of that of the control plane; set" in told()[0][1]


@pytest.mark.django_db
def test_machines_that_never_joined_count_as_one(tmp_path):
    for number in range(20):
        name = f"x{number}"
        mail.read_report(signed(an_identity(name), tmp_path, report_of(name)), now=NOW)

    assert [node for node, _ in told()] == [""]
    assert "which never joined" in told()[0][1]


@pytest.mark.django_db
def test_the_node_carries_a_note_until_its_reports_are_taken_again(tmp_path):
    identity = enrolled("n1")
    at = datetime.fromtimestamp(NOW, UTC)
    Node.objects.create(name="n1", joined_at=at, seen_at=at)
    good = signed(identity, tmp_path, report_of("n1"))

    mail.read_report(signed(identity, tmp_path, report_of("n1", version=2)), now=NOW)
    noted = Node.objects.get()
    report = mail.read_report(good, now=NOW + 61)
    ingest.ingest(report, now=datetime.fromtimestamp(NOW + 61, UTC))

    assert noted.refusal.startswith("its reports are refused: ")
    assert "upgrade the control plane first" in noted.refusal
    assert noted.refused_at == at
    assert (Node.objects.get().refusal, Node.objects.get().refused_at) == ("", None)

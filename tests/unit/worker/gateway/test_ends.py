"""What tells the HTTP gateway the addresses of ends, as a name server and as a program."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.rcode
import pytest

from tests.sandboxes import wait_for
from worker.gateway import ends
from worker.gateway.end_server import answer
from worker.gateway.ends import Ends
from worker.gateway.live import Target
from worker.gateway.upstreams import end_name

FOUR, SIX = (end_name(Target(replica="r", address=a, port=80)) for a in ("10.5.0.2", "fd05::2"))


@pytest.mark.parametrize(
    ("name", "kind", "records", "code"),
    [
        (FOUR, "A", ["10.5.0.2"], dns.rcode.NOERROR),
        (FOUR.upper(), "A", ["10.5.0.2"], dns.rcode.NOERROR),
        (SIX, "AAAA", ["fd05::2"], dns.rcode.NOERROR),
        (FOUR, "AAAA", [], dns.rcode.NOERROR),
        (SIX, "TXT", [], dns.rcode.NOERROR),
        ("a10-5-0.end.kijabi", "A", [], dns.rcode.NXDOMAIN),
        ("web.default", "A", [], dns.rcode.NXDOMAIN),
        (".", "A", [], dns.rcode.NXDOMAIN),
    ],
)
def test_a_name_says_its_address(name: str, kind: str, records: list[str], code: int):
    question = dns.message.make_query(name, kind, use_edns=True)

    said = dns.message.from_wire(answer(question.to_wire()) or b"")

    assert question.is_response(said)
    assert [str(item) for rrset in said.answer for item in rrset] == records
    assert said.rcode() == code


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\0" * 11,
        dns.message.make_query(FOUR, "A").to_wire()[:20],
        dns.message.make_response(dns.message.make_query(FOUR, "A")).to_wire(),
        dns.message.make_query(FOUR, "A").to_wire().replace(b"end", b"\xff\xfe\xfd"),
    ],
)
def test_what_is_no_question_gets_no_answer(question: bytes):
    assert answer(question) is None


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Ends]:
    made = Ends(tmp_path)
    made.start()
    assert made.await_answer(10)
    yield made
    made.leave()
    ends.end(tmp_path)


def test_the_next_agent_has_the_same_program_at_the_same_port(kept: Ends, tmp_path: Path):
    pid = (tmp_path / "ends.pid").read_text()
    kept.leave()

    following = Ends(tmp_path)
    following.start()
    question = dns.message.make_query(FOUR, "A")
    said = dns.query.udp(question, "127.0.0.1", timeout=3, port=following.port)

    assert [str(item) for rrset in said.answer for item in rrset] == ["10.5.0.2"]
    assert (following.port, (tmp_path / "ends.pid").read_text()) == (kept.port, pid)
    following.leave()


def test_another_port_is_taken_where_somebody_else_has_ours(kept: Ends, tmp_path: Path):
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    (elsewhere / "ends-port").write_text(str(kept.port))

    assert Ends(elsewhere).port not in {0, kept.port}


def test_nobody_runs_after_the_end(kept: Ends, tmp_path: Path):
    pid = int((tmp_path / "ends.pid").read_text()[1:].split(",")[0])
    kept.leave()

    ends.end(tmp_path)

    wait_for(lambda: not Path(f"/proc/{pid}").exists() or os.waitpid(pid, os.WNOHANG))
    assert not kept.await_answer(0.1)

"""What tells the HTTP gateway who serves and where, as a name server and as a program."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest

from tests import ended_connections
from tests.questions import ask
from tests.sandboxes import wait_for
from worker.gateway import upstream_keeper
from worker.gateway.end_names import end_name
from worker.gateway.live import Target
from worker.gateway.nftables import CannotRoute
from worker.gateway.upstream_files import UpstreamFiles, read
from worker.gateway.upstream_keeper import UpstreamKeeper
from worker.gateway.upstream_server import MOST_CONNECTIONS, answer
from worker.gateway.upstreams import NOBODY

FOUR, SIX = end_name("10.5.0.2"), end_name("fd05::2")
ROUTE, EMPTY = "r1f.route.kijabi", "r2f.route.kijabi"
ENDS = tuple(Target(replica=f"r{n}", address=f"10.5.0.{n}", port=8080) for n in (2, 3))
SERVERS = [f"0 1 8080 {end_name(end.address)}." for end in ENDS]
MANY = tuple(Target(replica="r", address=f"10.5.{n >> 8}.{n & 255}", port=80) for n in range(1500))


@pytest.fixture
def files(tmp_path: Path) -> UpstreamFiles:
    made = UpstreamFiles(tmp_path)
    made.write({ROUTE: ENDS, EMPTY: (NOBODY,)})
    return made


@pytest.mark.parametrize(
    ("name", "kind", "records", "code"),
    [
        (FOUR, "A", ["10.5.0.2"], dns.rcode.NOERROR),
        (FOUR.upper(), "A", ["10.5.0.2"], dns.rcode.NOERROR),
        (SIX, "AAAA", ["fd05::2"], dns.rcode.NOERROR),
        (FOUR, "AAAA", [], dns.rcode.NOERROR),
        (SIX, "TXT", [], dns.rcode.NOERROR),
        (ROUTE, "SRV", SERVERS, dns.rcode.NOERROR),
        (ROUTE.upper(), "SRV", SERVERS, dns.rcode.NOERROR),
        (ROUTE, "A", [], dns.rcode.NOERROR),
        (EMPTY, "SRV", ["0 1 9 a.end.kijabi."], dns.rcode.NOERROR),
        ("r3f.route.kijabi", "SRV", [], dns.rcode.NXDOMAIN),
        ("a.end.kijabi", "A", [], dns.rcode.NXDOMAIN),
        ("a10-5-0.end.kijabi", "A", [], dns.rcode.NXDOMAIN),
        ("web.default", "A", [], dns.rcode.NXDOMAIN),
        (".", "A", [], dns.rcode.NXDOMAIN),
    ],
)
def test_a_name_says(
    files: UpstreamFiles, name: str, kind: str, records: list[str], code: dns.rcode.Rcode
):
    question = dns.message.make_query(name, kind, use_edns=True)

    said = dns.message.from_wire(answer(question.to_wire(), files.folder) or b"")

    assert question.is_response(said)
    assert sorted(str(item) for rrset in said.answer for item in rrset) == records
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
def test_what_is_no_question_gets_no_answer(files: UpstreamFiles, question: bytes):
    assert answer(question, files.folder) is None


def test_files_tell_when_they_say_something_else(files: UpstreamFiles, tmp_path: Path):
    told = [
        files.write({ROUTE: ENDS, EMPTY: (NOBODY,)}),
        files.write({ROUTE: ENDS[:1], EMPTY: (NOBODY,)}),
        files.write({ROUTE: ENDS[:1]}),
        UpstreamFiles(tmp_path).write({ROUTE: ENDS[:1]}),
        UpstreamFiles(tmp_path).write({EMPTY: ENDS}),
    ]

    assert told == [False, True, True, False, True]
    assert [read(files.folder, name) for name in (ROUTE, EMPTY)] == [
        None,
        [(8080, end_name(end.address)) for end in ENDS],
    ]
    assert [path.name for path in files.folder.iterdir()] == [EMPTY]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[UpstreamKeeper]:
    made = UpstreamKeeper(tmp_path)
    made.publish({ROUTE: ENDS})
    made.start()
    assert made.await_answer(10)
    yield made
    made.leave()
    upstream_keeper.end(tmp_path)


def pid_in(folder: Path) -> int:
    return int((folder / "upstreams.pid").read_text()[1:].split(",")[0])


@pytest.mark.parametrize("stream", [False, True])
def test_it_answers_datagrams_and_streams(kept: UpstreamKeeper, *, stream: bool):
    assert ask(kept.port, ROUTE, "SRV", stream=stream) == SERVERS
    assert ask(kept.port, FOUR, "A", stream=stream) == ["10.5.0.2"]


def test_it_says_what_was_published_last(kept: UpstreamKeeper):
    changed = kept.publish({ROUTE: ENDS[1:]})

    assert changed
    assert ask(kept.port, ROUTE, "SRV", stream=True) == SERVERS[1:]


def test_what_is_too_long_for_a_datagram_is_asked_for_by_a_stream(kept: UpstreamKeeper):
    kept.publish({ROUTE: MANY})
    message = dns.message.make_query(ROUTE, "SRV")

    said = dns.query.udp(message, "127.0.0.1", timeout=3, port=kept.port)

    assert said.flags & dns.flags.TC
    assert not said.answer
    assert len(ask(kept.port, ROUTE, "SRV", stream=True)) == len(MANY)


def test_a_question_may_come_in_parts_and_several_by_one_connection(kept: UpstreamKeeper):
    question = dns.message.make_query(FOUR, "A").to_wire()
    text = len(question).to_bytes(2, "big") + question
    answer_bytes = 0
    with socket.create_connection(("127.0.0.1", kept.port), timeout=3) as asker:
        for part in (text[:1], text[1:9], text[9:] + text):
            asker.sendall(part)
            time.sleep(0.05)
        expected = 2 * (2 + len(question) + 16)
        while answer_bytes < expected and (chunk := asker.recv(4096)):
            answer_bytes += len(chunk)

    assert answer_bytes == expected


def test_many_questions_by_streams_use_up_no_ports(kept: UpstreamKeeper):
    for _ in range(50):
        assert ask(kept.port, FOUR, "A", stream=True) == ["10.5.0.2"]

    ended_connections.await_none_at(kept.port)


def test_nonsense_by_streams_and_datagrams_harms_nobody(kept: UpstreamKeeper, tmp_path: Path):
    pid = pid_in(tmp_path)
    with socket.create_connection(("127.0.0.1", kept.port), timeout=3) as asker:
        asker.sendall(b"\0\x0cno question!")
        with pytest.raises(ConnectionResetError):
            asker.recv(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.sendto(b"no question", ("127.0.0.1", kept.port))
    resetting = socket.create_connection(("127.0.0.1", kept.port), timeout=3)
    resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    resetting.close()

    assert ask(kept.port, FOUR, "A") == ["10.5.0.2"]
    assert pid_in(tmp_path) == pid


def test_an_overlong_name_is_no_route(files: UpstreamFiles):
    label = b"r" * 255
    question = b"\0\x01\0\0\0\x01\0\0\0\0\0\0" + bytes([len(label)]) + label
    question += b"\x05route\x06kijabi\0\0\x21\0\x01"

    said = answer(question, files.folder) or b""

    assert said[3] & 0xF == dns.rcode.NXDOMAIN


@pytest.mark.parametrize("text", ["nonsense\n", "\xff"])
def test_a_damaged_file_is_a_failure_and_no_more(files: UpstreamFiles, text: str):
    (files.folder / ROUTE).write_bytes(text.encode("latin-1"))
    question = dns.message.make_query(ROUTE, "SRV")

    said = dns.message.from_wire(answer(question.to_wire(), files.folder) or b"")

    assert said.rcode() == dns.rcode.SERVFAIL


def test_many_who_connect_and_say_nothing_keep_nobody_out(kept: UpstreamKeeper, tmp_path: Path):
    pid = pid_in(tmp_path)
    with ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS + 50):
            stack.enter_context(socket.create_connection(("127.0.0.1", kept.port), timeout=5))

        assert ask(kept.port, ROUTE, "SRV", stream=True) == SERVERS
    assert pid_in(tmp_path) == pid


def sent(asker: socket.socket, text: bytes) -> bool:
    """Send something; return False when the other side has ended the connection."""
    try:
        asker.sendall(text)
    except ConnectionError:
        return False
    return True


def test_who_asks_and_takes_no_answer_holds_nobody_up(kept: UpstreamKeeper):
    kept.publish({ROUTE: MANY})
    question = dns.message.make_query(ROUTE, "SRV").to_wire()
    text = len(question).to_bytes(2, "big") + question
    with socket.create_connection(("127.0.0.1", kept.port), timeout=10) as asker:
        wait_for(lambda: not sent(asker, text))

        assert ask(kept.port, FOUR, "A") == ["10.5.0.2"]


def test_what_was_deleted_is_told_again(kept: UpstreamKeeper, tmp_path: Path):
    before = kept.check()
    shutil.rmtree(tmp_path / "upstreams")
    is_there = kept.check()

    kept.publish({ROUTE: ENDS})

    assert (before, is_there, kept.check()) == (True, False, True)
    assert ask(kept.port, ROUTE, "SRV") == SERVERS


def test_the_next_agent_has_the_same_program_at_the_same_port(kept: UpstreamKeeper, tmp_path: Path):
    pid = pid_in(tmp_path)
    kept.leave()

    following = UpstreamKeeper(tmp_path)
    following.start()

    assert ask(following.port, ROUTE, "SRV") == SERVERS
    assert (following.port, pid_in(tmp_path)) == (kept.port, pid)
    following.leave()


def test_it_is_back_with_what_it_said_when_it_was_killed(kept: UpstreamKeeper, tmp_path: Path):
    before = pid_in(tmp_path)
    os.kill(before, signal.SIGKILL)

    wait_for(lambda: pid_in(tmp_path) != before)

    assert kept.await_answer(5)
    assert ask(kept.port, ROUTE, "SRV") == SERVERS


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_another_port_is_taken_where_somebody_else_has_ours(tmp_path: Path, kind: int):
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        taken = other.getsockname()[1]
        (tmp_path / "upstreams-port").write_text(str(taken))

        made = UpstreamKeeper(tmp_path)
        made.start()

        assert made.await_answer(10)
        assert made.port not in {0, taken}
        made.leave()
        upstream_keeper.end(tmp_path)


def test_what_cannot_be_written_is_told(tmp_path: Path):
    (tmp_path / "upstreams").write_text("in the way")

    with pytest.raises(CannotRoute, match=r"Caddy cannot be told who serves: .*upstreams"):
        UpstreamKeeper(tmp_path).publish({ROUTE: ENDS})


def test_a_port_that_cannot_be_written_down_is_told(tmp_path: Path):
    (tmp_path / "upstreams-port").mkdir()

    with pytest.raises(CannotRoute, match=r"Caddy cannot be told who serves: .*upstreams-port"):
        UpstreamKeeper(tmp_path).start()


def test_what_cannot_be_written_keeps_nothing_else_back(files: UpstreamFiles):
    (files.folder / ROUTE).unlink()
    (files.folder / ROUTE).mkdir()

    with pytest.raises(OSError, match=ROUTE):
        files.write({ROUTE: ENDS[:1], "r3f.route.kijabi": ENDS})
    (files.folder / ROUTE).rmdir()
    files.write({ROUTE: ENDS[:1], "r3f.route.kijabi": ENDS})

    assert [len(read(files.folder, n) or ()) for n in (ROUTE, "r3f.route.kijabi")] == [1, 2]


def test_nobody_runs_after_the_end(kept: UpstreamKeeper, tmp_path: Path):
    pid = pid_in(tmp_path)
    kept.leave()

    upstream_keeper.end(tmp_path)

    wait_for(lambda: not Path(f"/proc/{pid}").exists() or os.waitpid(pid, os.WNOHANG))
    assert not kept.await_answer(0.1)
    assert not (tmp_path / "upstreams").exists()

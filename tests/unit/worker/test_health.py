"""Probes of a running container: hostile servers, unknown answers, delays, who gates whom."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from worker import probes
from worker.health import Health
from worker.probes import Answer, ProbeTrack
from worker.protocol import ContainerSpec, Probe, ProbeKind
from worker.runtimes.base import (
    ContainerInfo,
    ContainerState,
    ExecResult,
    FailureReason,
    RuntimeFailure,
)

INFO = ContainerInfo(id="1", name="c", replica="r", epoch=1, state=ContainerState.RUNNING)
HTTP = Probe(kind=ProbeKind.HTTP, host="127.0.0.1", timeout_seconds=1)
Say = Callable[[socket.socket], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Say], int]]:
    """Serve one connection with bare bytes; return the port."""
    server = socket.create_server(("127.0.0.1", 0))

    def begin(say: Say) -> int:
        def run() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                try:
                    say(connection)
                except OSError:
                    return

        threading.Thread(target=run, daemon=True).start()
        return server.getsockname()[1]

    yield begin
    server.close()


def ask(port: int, **fields: object) -> Answer:
    probe = Probe(**{"kind": HTTP.kind, "host": HTTP.host, "port": port, **fields})
    return probes.check(probe, INFO, lambda _argv, _limit: ExecResult(exit_code=0, output=""))


def drip(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK" * 20:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def test_a_server_that_drips_does_not_outlast_the_time_limit(serve: Callable[[Say], int]):
    port, began = serve(drip), time.monotonic()

    answer = ask(port, timeout_seconds=1)

    assert answer == Answer(healthy=False, message="http check failed: timed out")
    assert time.monotonic() - began < 1.6


@pytest.mark.parametrize(
    ("said", "healthy", "why"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", True, ""),
        (b"HTTP/1.0 399\r\n\r\n", True, ""),
        (b"HTTP/1.1 199 Odd\r\n\r\n", False, "answered 199"),
        (b"", False, "without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", False, "SSH-2.0"),
        (b"x" * 20_000, False, "timed out"),
    ],
    ids=["a redirect is not followed", "no words", "too low", "silence", "not http", "no end"],
)
def test_only_the_status_line_counts(
    serve: Callable[[Say], int], said: bytes, healthy: bool, why: str
):
    answer = ask(serve(lambda connection: connection.sendall(said)))

    assert answer.healthy is healthy
    assert why in answer.message


def test_headers_and_path_arrive(serve: Callable[[Say], int]):
    got: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        connection, _ = server.accept()
        with connection:
            got.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    threading.Thread(target=run, daemon=True).start()
    ask(server.getsockname()[1], path="/live?x=1", headers=(("Host", "web"), ("X-Probe", "yes")))
    server.close()

    assert got[0].startswith(b"GET /live?x=1 HTTP/1.1\r\n")
    assert b"\r\nHost: web\r\n" in got[0]
    assert b"\r\nX-Probe: yes\r\n" in got[0]
    assert got[0].count(b"Host:") == 1


@pytest.mark.parametrize("path", ["/a b", "/\r\nX: y", "/é"])
def test_a_path_no_request_can_carry_is_unhealthy_not_an_error(path: str):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ask(server.getsockname()[1], path=path).healthy is False


def test_an_answer_that_could_not_be_had_is_unknown():
    def away(_argv: tuple[str, ...], _limit: float) -> ExecResult:
        raise RuntimeFailure(FailureReason.ENGINE_DOWN, "the engine is away")

    answer = probes.check(Probe(kind=ProbeKind.EXEC, command=("x",)), INFO, away)

    assert answer.healthy is None


def test_unknown_answers_turn_nothing_and_wait_a_period():
    probe = Probe(kind=ProbeKind.EXEC, failure_threshold=1, period_seconds=10)
    track = ProbeTrack(probe, now=0.0, quick=False)
    track.record(Answer(healthy=True), 0.0)

    track.record(Answer(healthy=None, message="away"), 10.0)

    assert (track.passing, track.next_at, track.in_flight) == (True, 20.0, False)


def test_the_initial_delay_counts_from_the_start_of_the_container():
    probe = Probe(kind=ProbeKind.TCP, initial_delay_seconds=30)

    assert ProbeTrack(probe, now=100.0, began_at=80.0, quick=True).next_at == 110.0
    assert ProbeTrack(probe, now=100.0, began_at=20.0, quick=True).next_at == 100.0


class Shop:
    """A runtime whose exec answers come from a table of commands."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.asked: list[str] = []

    def exec(self, _name: str, argv: tuple[str, ...], _limit: float) -> ExecResult:
        self.asked.append(argv[0])
        return ExecResult(exit_code=self.codes[argv[0]], output=f"{argv[0]} said so")


def probe(command: str, **fields: object) -> Probe:
    return Probe(kind=ProbeKind.EXEC, command=(command,), **fields)


def ask_health(health: Health, shop: Shop) -> float | None:
    return health.ask(shop, INFO, lambda check: check(), lambda: None)


def test_startup_holds_the_others_back_until_it_passes():
    now = [0.0]
    spec = ContainerSpec(
        name="m",
        image="i",
        startup_probe=probe("startup"),
        readiness_probe=probe("ready"),
        liveness_probe=probe("live"),
    )
    health, shop = Health(spec, lambda: now[0]), Shop(startup=1, ready=0, live=0)

    ask_health(health, shop)
    assert (shop.asked, health.is_ready) == (["startup"], False)
    assert health.describe() == ("WaitingForStartup", health.describe()[1])

    shop.codes["startup"], now[0] = 0, 0.06
    ask_health(health, shop)
    ask_health(health, shop)
    assert shop.asked == ["startup", "startup", "ready", "live"]
    assert health.is_ready


def test_a_startup_that_never_comes_is_given_up_with_its_own_grace():
    now = [0.0]
    startup = probe("s", failure_threshold=2, period_seconds=1, termination_grace_seconds=3)
    health = Health(ContainerSpec(name="m", image="i", startup_probe=startup), lambda: now[0])
    shop = Shop(s=1)

    wait: float | None = 0.0
    while health.verdict() is None and now[0] < 10:
        now[0] += wait or 0.01
        wait = ask_health(health, shop)

    reason, message = health.verdict()
    assert (reason, health.grace_seconds) == ("StartupProbeFailed", 3)
    assert "s said so" in message
    assert 2.0 <= now[0] < 3.0, "two failures a period apart; quick tries do not count"


def test_without_probes_running_is_ready():
    health = Health(ContainerSpec(name="m", image="i"))

    assert health.is_ready
    assert ask_health(health, Shop()) is None


def test_a_bug_in_a_probe_does_not_leave_it_unasked_for_ever():
    now = [0.0]
    health = Health(ContainerSpec(name="m", image="i", liveness_probe=probe("x")), lambda: now[0])

    assert ask_health(health, Shop()) == 10.0  # the table has no such command: KeyError
    now[0] = 10.0
    shop = Shop(x=0)
    ask_health(health, shop)

    assert shop.asked == ["x"]

"""Ending what is read from the engine, with sockets in place of an engine."""

import socket
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from worker.runtimes import docker_events


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    theirs, engine = socket.socketpair()
    with theirs, engine:
        yield theirs, engine


def stream_over(connection: socket.socket) -> SimpleNamespace:
    """A stream of the SDK, as deep as the socket lies in it."""
    file = SimpleNamespace(raw=SimpleNamespace(_sock=connection))
    raw = SimpleNamespace(_fp=SimpleNamespace(fp=file))
    return SimpleNamespace(_response=SimpleNamespace(raw=raw, close=connection.close))


@pytest.fixture
def started() -> Callable[[], list[threading.Thread]]:
    """What watches since the test began; tests before it may have left theirs."""
    before = set(threading.enumerate())
    return lambda: [one for one in threading.enumerate() if one not in before]


def test_a_blocking_read_ends_when_asked_to(ends):
    theirs, _ = ends
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()

    with docker_events.released(stream_over(theirs), stop):
        got = theirs.recv(1)

    assert got == b""


def test_asking_at_the_moment_the_engine_leaves_is_no_error(ends, started):
    theirs, engine = ends
    stop = threading.Event()

    with docker_events.released(stream_over(theirs), stop):
        (watcher,) = started()
        engine.close()
        theirs.close()  # as its reader does at the end of what it reads
        stop.set()
        watcher.join(5)

    assert not watcher.is_alive()


def test_a_stream_that_is_over_leaves_no_thread(ends, started, monkeypatch):
    monkeypatch.setattr(docker_events, "WATCH_SECONDS", 0.02)
    theirs, _ = ends

    with docker_events.released(stream_over(theirs), threading.Event()):
        (watcher,) = started()
    watcher.join(5)

    assert not watcher.is_alive()
    assert theirs.fileno() == -1


def test_asking_when_it_is_over_touches_nobody_s_connection(ends, started):
    theirs, engine = ends
    stop = threading.Event()
    kept = theirs.dup()  # as the pool keeps the connection of a stream that was read to its end

    with kept:
        with docker_events.released(stream_over(theirs), stop):
            (watcher,) = started()
        stop.set()
        watcher.join(5)
        engine.sendall(b"another answer")
        got = kept.recv(100)

    assert (watcher.is_alive(), got) == (False, b"another answer")


def test_without_a_wish_to_end_it_nobody_watches(ends, started):
    theirs, _ = ends

    with docker_events.released(stream_over(theirs)):
        watching = started()

    assert watching == []
    assert theirs.fileno() == -1


def test_a_response_that_was_read_already_needs_no_thread(started):
    raw = SimpleNamespace(_fp=SimpleNamespace(fp=None))
    closed = threading.Event()
    stream = SimpleNamespace(_response=SimpleNamespace(raw=raw, close=closed.set))

    with docker_events.released(stream, threading.Event()):
        watching = started()

    assert watching == []
    assert closed.is_set()

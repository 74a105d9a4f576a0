"""What every runtime promises; the pretended one is held to the real ones by the same tests."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.conftest import World, wait_for
from worker.protocol import Port, Resources
from worker.runtimes.base import (
    ContainerState,
    EventKind,
    FailureReason,
    RuntimeEvent,
    RuntimeFailure,
    Usage,
)

NEVER = threading.Event()


def lines(world: World, name: str, tail: int | None = None) -> list[str]:
    found = world.runtime.logs(name, tail=tail, follow=False, stop=NEVER)
    return [line.text for line in found]


def test_a_started_container_runs(world: World):
    spec = world.spec()

    info = world.runtime.start(spec)

    assert (info.state, info.exit_code) == (ContainerState.RUNNING, None)
    assert (info.replica, info.epoch) == (spec.uid, 1)
    assert world.runtime.inspect(info.name).id == info.id


def test_starting_twice_makes_one_container(world: World):
    spec = world.spec()

    first, second = world.runtime.start(spec), world.runtime.start(spec)

    assert first.id == second.id
    assert len(world.runtime.list()) == 1


def test_starting_at_once_makes_one_container(world: World):
    spec = world.spec()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: attempt(world, spec), range(4)))

    assert len({info.id for info in found if info is not None}) == 1
    assert len(world.runtime.list()) == 1


def attempt(world: World, spec):
    """Start; the agent never starts one replica twice at once, so losing a race may also fail."""
    try:
        return world.runtime.start(spec)
    except RuntimeFailure:
        return None


def test_eight_start_side_by_side(world: World):
    specs = [world.spec() for _ in range(8)]

    with ThreadPoolExecutor(8) as threads:
        infos = list(threads.map(world.runtime.start, specs))

    assert len({info.id for info in infos}) == 8
    assert {info.name for info in world.runtime.list()} == {info.name for info in infos}


def test_only_the_owners_containers_are_seen(world: World):
    info = world.runtime.start(world.spec())

    assert world.other.list() == ()
    assert world.other.inspect(info.name) is None


def test_an_exit_code_is_kept(world: World):
    info = world.runtime.start(world.spec(("sh", "-c", "exit 3")))
    world.end(info, 3)

    ended = world.wait_until_ended(info.name)

    assert ended.exit_code == 3
    assert ended.finished_at is not None
    assert not ended.oom_killed


def test_starting_an_ended_container_makes_a_fresh_one(world: World):
    spec = world.spec(("sh", "-c", "exit 3"))
    first = world.runtime.start(spec)
    world.end(first, 3)
    world.wait_until_ended(first.name)

    second = world.runtime.start(spec)

    assert second.id != first.id
    assert second.name == first.name


def test_an_unknown_image_is_named(world: World):
    if world.kind == "memory":
        world.runtime.faults.unknown_images.add("no/such:image")
    spec = world.spec(image="no/such:image")

    with pytest.raises(RuntimeFailure, match="no/such:image") as caught:
        world.runtime.pull(spec.container, lambda _sentence: None)

    # Where no registry can be reached, Docker cannot know better than that.
    assert caught.value.reason in {FailureReason.IMAGE_NOT_FOUND, FailureReason.NETWORK}
    assert world.runtime.list() == ()


def test_stop_lets_it_end_by_itself(world: World):
    info = world.runtime.start(world.spec(("sleep", "300")))

    world.runtime.stop(info.name, 5)

    assert world.wait_until_ended(info.name).exit_code == 143


def test_stop_kills_what_does_not_listen(world: World):
    if world.kind == "memory":
        pytest.skip("nothing runs in memory, so nothing can refuse to end")
    info = world.runtime.start(
        world.spec(("sh", "-c", "trap '' TERM; echo armed; while :; do sleep 1; done"))
    )
    wait_for(lambda: lines(world, info.name))

    world.runtime.stop(info.name, 1)

    assert world.wait_until_ended(info.name).exit_code == 137


def test_stopping_and_removing_what_is_not_there_is_no_error(world: World):
    world.runtime.stop("kijabi-nonesuch-1", 1)
    world.runtime.remove("kijabi-nonesuch-1")

    assert world.runtime.inspect("kijabi-nonesuch-1") is None


def test_removing_ends_it(world: World):
    info = world.runtime.start(world.spec())

    world.runtime.remove(info.name)

    assert world.runtime.inspect(info.name) is None
    assert world.runtime.list() == ()


def test_logs_give_the_latest_lines(world: World):
    info = world.runtime.start(world.spec(("sh", "-c", "echo one; echo two; echo three")))
    if world.kind == "memory":
        for text in ("one", "two", "three"):
            world.runtime.print_line(info.name, text)
    world.end(info, 0)
    world.wait_until_ended(info.name)

    assert lines(world, info.name) == ["one", "two", "three"]
    assert lines(world, info.name, tail=2) == ["two", "three"]


def test_following_ends_when_told(world: World):
    info = world.runtime.start(world.spec(("sh", "-c", "echo one; exec sleep 300")))
    if world.kind == "memory":
        world.runtime.print_line(info.name, "one")
    stop, got = threading.Event(), []

    def follow() -> None:
        got.extend(
            line.text for line in world.runtime.logs(info.name, tail=None, follow=True, stop=stop)
        )

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    wait_for(lambda: lines(world, info.name))
    stop.set()
    thread.join(3)

    assert not thread.is_alive()


def test_limits_change_while_it_runs(world: World):
    limits = Resources(memory_limit_bytes=64 << 20, cpu_limit_millis=500)
    info = world.runtime.start(world.spec(resources=limits))

    note = world.runtime.update(info.name, Resources(memory_limit_bytes=128 << 20))

    assert note == "" or "not enforced" in note
    assert world.runtime.inspect(info.name).id == info.id


def test_a_port_that_is_taken_is_told(world: World):
    if world.kind == "memory":
        pytest.skip("ports are pretended in memory")
    import socket

    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = Port(container_port=8080, host_port=taken.getsockname()[1])
        with pytest.raises(RuntimeFailure) as caught:
            world.runtime.start(world.spec(ports=(port,)))

    assert caught.value.reason is FailureReason.PORT_TAKEN
    assert world.runtime.list() == ()


def test_variables_arrive(world: World):
    if world.kind == "memory":
        pytest.skip("nothing reads variables in memory")
    spec = world.spec(
        ("sh", "-c", 'echo $GREETING; test -n "$PORT" && test $PORT = $PORT_WEB_UI && echo port'),
        env=(("GREETING", "hello there"),),
        ports=(Port(container_port=8080, name="web-ui"),),
    )

    info = world.runtime.start(spec)
    world.wait_until_ended(info.name)

    assert lines(world, info.name) == ["hello there", "port"]


def test_a_death_is_told_at_once(world: World, seen: list[RuntimeEvent]):
    info = world.runtime.start(world.spec(("sh", "-c", "sleep 0.2; exit 3")))
    world.end(info, 3)

    death = RuntimeEvent(kind=EventKind.DIED, replica=info.replica)

    wait_for(lambda: death in seen, 2.0)
    assert seen[0].kind is EventKind.RESYNC


def test_a_removal_is_told(world: World, seen: list[RuntimeEvent]):
    info = world.runtime.start(world.spec())
    wait_for(lambda: len(seen) > 1, 2.0)

    world.runtime.remove(info.name)

    wait_for(lambda: RuntimeEvent(kind=EventKind.REMOVED, replica=info.replica) in seen, 2.0)


def test_what_a_container_uses_is_counted(world: World):
    info = world.runtime.start(world.spec(("sh", "-c", "while :; do :; done")))
    first = wait_for(lambda: world.runtime.usages([info.name]).get(info.name))
    if world.kind == "memory":
        world.runtime.use(info.name, cpu_nanoseconds=10**9, memory_bytes=1 << 20)

    later = wait_for(lambda: _used_more(world, info.name, first))

    assert later.run == first.run
    assert later.memory_bytes > 0


def _used_more(world: World, name: str, before: Usage) -> Usage | None:
    now = world.runtime.usages([name])[name]
    return now if now.cpu_nanoseconds - before.cpu_nanoseconds > 10**8 else None


def test_a_container_that_is_started_anew_is_counted_anew(world: World):
    spec = world.spec()
    name = world.runtime.start(spec).name
    first = world.runtime.usages([name])[name]
    world.runtime.remove(name)
    world.runtime.start(spec)

    assert world.runtime.usages([name])[name].run != first.run


def test_what_does_not_run_is_not_counted(world: World):
    info = world.runtime.start(world.spec(("sh", "-c", "exit 0")))
    world.end(info, 0)
    world.wait_until_ended(info.name)

    assert world.runtime.usages([info.name, "no-such-container"]) == {}

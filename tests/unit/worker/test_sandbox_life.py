"""Sandboxes outlive the agent, end as a whole, and never run twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.sandboxes import Sandboxes, ended, processes_with, wait_for
from worker.protocol import ReplicaSpec, to_wire
from worker.runtimes.base import ContainerState, EventKind, RuntimeEvent

AGENT = """
import json, os, signal, sys
from pathlib import Path
from worker import protocol
from worker.labels import Owner
from worker.runtimes.sandbox import SandboxRuntime, launch

state, cluster, replica, moment = sys.argv[1:]
if moment == "in-start":
    launch.Launch._await_birth = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
runtime = SandboxRuntime(Owner(cluster=cluster, node="a"), Path(state))
runtime.start(protocol.from_wire(protocol.ReplicaSpec, json.loads(replica)))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(tmp_path)
    yield made
    made.clear()


def killed_agent(sandboxes: Sandboxes, replica: ReplicaSpec, moment: str = "after-start") -> str:
    """Have another process start a sandbox and be killed; return the container's name."""
    words = [str(sandboxes.state), sandboxes.owner.cluster, json.dumps(to_wire(replica)), moment]
    result = subprocess.run([sys.executable, "-c", AGENT, *words], check=False, timeout=30)
    assert result.returncode == -signal.SIGKILL
    return f"kijabi-{replica.uid}-1"


def a_mark() -> str:
    """Return seconds to sleep that no other process of this machine sleeps."""
    return f"{300 + uuid.uuid4().int % 10**9}"


def test_a_sandbox_outlives_its_agent_and_the_next_one_learns_the_exit_code(sandboxes: Sandboxes):
    name = killed_agent(sandboxes, sandboxes.spec("sh", "-c", "sleep 0.4; echo bye; exit 7"))

    adopted = sandboxes.another()
    assert adopted.inspect(name).state is ContainerState.RUNNING

    assert wait_for(lambda: ended(adopted, name)).exit_code == 7
    assert sandboxes.output(name) == "bye"


def test_an_exit_code_is_learned_when_it_ended_while_no_agent_was_there(sandboxes: Sandboxes):
    name = killed_agent(sandboxes, sandboxes.spec("sh", "-c", "sleep 0.1; exit 9"))
    monitor = sandboxes.container(name).monitor
    assert monitor.wait(5)

    assert sandboxes.another().inspect(name).exit_code == 9


def test_an_adopted_sandbox_is_told_when_it_dies(sandboxes: Sandboxes):
    name = killed_agent(sandboxes, sandboxes.spec("sleep", "300"))
    stream = sandboxes.runtime.events(threading.Event())
    assert next(stream).kind is EventKind.RESYNC

    sandboxes.container(name).payload().signal(signal.SIGKILL)

    assert next(stream).kind is EventKind.DIED
    assert sandboxes.runtime.inspect(name).exit_code == 137
    stream.close()


def test_a_start_cut_short_by_a_kill_leaves_no_process(sandboxes: Sandboxes):
    mark = a_mark()
    killed_agent(sandboxes, sandboxes.spec("sleep", mark), "in-start")
    wait_for(lambda: processes_with(mark))

    assert wait_for(lambda: sandboxes.another().list() == () and sandboxes.is_empty())

    assert processes_with(mark) == []


def test_starting_again_after_a_start_cut_short_makes_one_process(sandboxes: Sandboxes):
    mark = a_mark()
    replica = sandboxes.spec("sleep", mark)
    killed_agent(sandboxes, replica, "in-start")

    sandboxes.runtime.start(replica)

    # bubblewrap's outer process, the first one inside, and the payload
    assert len(processes_with(mark)) == 3


def test_two_agents_that_start_one_replica_make_one_process(sandboxes: Sandboxes):
    agents = [sandboxes.runtime, *(sandboxes.another() for _ in range(3))]
    mark = a_mark()
    replica = sandboxes.spec("sleep", mark)

    with ThreadPoolExecutor(4) as threads:
        infos = list(threads.map(lambda agent: agent.start(replica), agents))

    assert len({info.id for info in infos}) == 1
    assert len(processes_with(mark)) == 3
    for agent in agents:
        agent.remove(infos[0].name)


def test_what_the_payload_leaves_behind_is_ended(sandboxes: Sandboxes):
    mark = a_mark()

    info = sandboxes.run("sh", "-c", f"sleep {mark} & exit 3")

    assert info.exit_code == 3
    assert processes_with(mark) == []


def test_a_sandbox_whose_outer_process_is_killed_ends_and_keeps_a_code(sandboxes: Sandboxes):
    mark = a_mark()
    info = sandboxes.runtime.start(sandboxes.spec("sleep", mark))

    os.kill(sandboxes.container(info.name).monitor.pid, signal.SIGKILL)

    found = wait_for(lambda: ended(sandboxes.runtime, info.name))
    assert (found.exit_code, found.finished_at) == (137, pytest.approx(found.started_at, abs=5))
    assert processes_with(mark) == []


def test_a_recycled_pid_is_not_taken_for_the_sandbox(sandboxes: Sandboxes):
    info = sandboxes.runtime.start(sandboxes.spec())
    container = sandboxes.container(info.name)
    container.kill()
    bystander = subprocess.Popen(["sleep", "300"])
    process = container.folder / "process.json"
    process.write_text(f'{{"pid": {bystander.pid}, "start": {container.monitor.start}}}')
    status = container.folder / "status.json"
    status.write_text(f'{{"child-pid": {bystander.pid}, "pid-namespace": 1}}\n')

    assert sandboxes.runtime.inspect(info.name).state is ContainerState.EXITED
    sandboxes.runtime.remove(info.name)

    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_a_folder_deleted_from_outside_ends_its_sandbox(sandboxes: Sandboxes):
    mark = a_mark()
    info = sandboxes.runtime.start(sandboxes.spec("sleep", mark))
    stream = sandboxes.runtime.events(threading.Event())
    assert next(stream).kind is EventKind.RESYNC

    shutil.rmtree(sandboxes.folder(info.name))

    assert next(stream) == RuntimeEvent(kind=EventKind.REMOVED, replica=info.replica)
    assert processes_with(mark) == []
    stream.close()


def test_a_death_between_the_resync_and_the_next_look_is_told(sandboxes: Sandboxes):
    info = sandboxes.runtime.start(sandboxes.spec())
    stream = sandboxes.runtime.events(threading.Event())
    assert next(stream).kind is EventKind.RESYNC

    sandboxes.runtime.stop(info.name, 0)

    assert next(stream) == RuntimeEvent(kind=EventKind.DIED, replica=info.replica)
    stream.close()


def test_stop_reaches_the_payload_and_keeps_its_own_exit_code(sandboxes: Sandboxes):
    info = sandboxes.runtime.start(
        sandboxes.spec("sh", "-c", "trap 'exit 5' TERM; echo armed; while :; do sleep 0.05; done")
    )
    wait_for(lambda: sandboxes.output(info.name))

    sandboxes.runtime.stop(info.name, 10)

    assert sandboxes.runtime.inspect(info.name).exit_code == 5


def test_stop_without_grace_kills(sandboxes: Sandboxes):
    info = sandboxes.runtime.start(sandboxes.spec("sh", "-c", "trap 'exit 5' TERM; sleep 300"))

    sandboxes.runtime.stop(info.name, 0)

    assert sandboxes.runtime.inspect(info.name).exit_code == 137


@pytest.mark.parametrize("how", ["listed", "stopped"])
def test_a_sandbox_whose_folder_was_deleted_ends_instead_of_running_twice(
    sandboxes: Sandboxes, how: str
):
    if sandboxes.runtime.check():
        pytest.skip("without groups nobody knows whose process it is")
    mark = a_mark()
    info = sandboxes.runtime.start(sandboxes.spec("sleep", mark))
    shutil.rmtree(sandboxes.state)

    later = sandboxes.another()
    if how == "listed":
        later.list()
    else:
        later.stop(info.name, 1)

    assert wait_for(lambda: not processes_with(mark))


def test_deleted_folders_are_made_anew_and_what_was_in_them_has_vanished(sandboxes: Sandboxes):
    stop = threading.Event()
    info = sandboxes.runtime.start(sandboxes.spec("sleep", a_mark()))
    events = sandboxes.runtime.events(stop)
    assert next(events).kind is EventKind.RESYNC
    shutil.rmtree(sandboxes.state)

    gone = next(events)
    stop.set()
    again = sandboxes.runtime.start(sandboxes.spec("sleep", a_mark()))

    assert gone.replica == info.replica
    assert [found.name for found in sandboxes.runtime.list()] == [again.name]

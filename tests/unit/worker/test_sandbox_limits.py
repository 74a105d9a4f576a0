"""Limits, commands run inside, and how both are told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandboxes import Sandboxes, processes_with
from worker.protocol import Resources
from worker.runtimes.base import FailureReason, RuntimeFailure
from worker.runtimes.sandbox.cgroups import Cgroups

MEBIBYTE = 1 << 20
# Reads so much into memory at once.
EATER = "head -c 200m /dev/zero | tail -c 200m > /dev/null"


@pytest.fixture
def sandboxes(tmp_path: Path) -> Iterator[Sandboxes]:
    made = Sandboxes(tmp_path)
    yield made
    made.clear()


@pytest.fixture
def limited(sandboxes: Sandboxes) -> Sandboxes:
    if any("not enforced" in note for note in sandboxes.runtime.check()):
        pytest.skip("needs cgroups: limits are not enforced on this machine")
    return sandboxes


def groups_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text()


def test_a_program_that_takes_too_much_memory_is_killed_and_that_is_told(limited: Sandboxes):
    limits = Resources(memory_limit_bytes=32 * MEBIBYTE)

    info = limited.run("sh", "-c", f"{EATER}; exit 3", resources=limits)

    assert info.oom_killed
    assert not limited.run("sh", "-c", "exit 3", resources=limits).oom_killed


def test_payload_and_commands_run_inside_share_the_limits(limited: Sandboxes):
    info = limited.runtime.start(
        limited.spec(resources=Resources(memory_limit_bytes=MEBIBYTE * 64))
    )

    limited.runtime.exec(info.name, ("sh", "-c", "sleep 41.5 > /dev/null 2>&1 &"), 10)
    pids = [limited.container(info.name).payload().pid, *processes_with("41.5")]

    assert len(pids) > 1
    assert all(info.name in groups_of(pid) for pid in pids)


def test_limits_change_in_place(limited: Sandboxes):
    info = limited.runtime.start(
        limited.spec(resources=Resources(memory_limit_bytes=MEBIBYTE * 64))
    )

    assert limited.runtime.update(info.name, Resources(memory_limit_bytes=MEBIBYTE * 96)) == ""

    folder = Path(limited.runtime._cgroups.joins(info.name)[-2]).parent
    found = [folder / "memory.max", folder / "memory.limit_in_bytes"]
    assert [p.read_text().strip() for p in found if p.exists()] == [str(MEBIBYTE * 96)]


def test_removing_leaves_no_group(limited: Sandboxes):
    info = limited.runtime.start(limited.spec())
    folders = [Path(path).parent for path in limited.runtime._cgroups.joins(info.name)]
    assert all(folder.is_dir() for folder in folders)

    limited.runtime.remove(info.name)

    assert not any(folder.exists() for folder in folders)


def test_updating_what_is_not_there_is_told(sandboxes: Sandboxes):
    with pytest.raises(RuntimeFailure) as caught:
        sandboxes.runtime.update("kijabi-nonesuch-1", Resources())

    assert caught.value.reason is FailureReason.NOT_FOUND


def test_a_machine_without_groups_says_which_limits_it_cannot_hold(tmp_path: Path):
    cgroups = Cgroups("test", tmp_path)

    assert cgroups.note(Resources()) == ""
    assert cgroups.note(Resources(cpu_limit_millis=5)).startswith("cpu limits are not enforced")
    assert cgroups.create("kijabi-a-1", Resources(cpu_limit_millis=5)) == []


def test_version_2_without_delegated_controllers_is_no_use(tmp_path: Path):
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")

    assert "cpu and memory" in Cgroups("test", tmp_path).note()


def test_version_2_limits_are_written_in_its_own_words(tmp_path: Path):
    group = tmp_path / "kijabi" / "test"
    (group / "kijabi-a-1").mkdir(parents=True)
    for folder in (tmp_path, group.parent, group):
        (folder / "cgroup.controllers").write_text("cpu memory pids")
        (folder / "cgroup.subtree_control").write_text("cpu memory pids")
    cgroups = Cgroups("test", tmp_path)
    # What the kernel keeps after the last write; a plain file keeps only that one.
    cgroups._usable = ["cpu", "memory", "pids"]
    for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max"):
        (group / "kijabi-a-1" / name).touch()
    (group / "kijabi-a-1" / "memory.events").write_text("oom 2\noom_kill 1\n")

    cgroups.set_limits("kijabi-a-1", Resources(cpu_limit_millis=250, memory_limit_bytes=4096))

    written = {p.name: p.read_text() for p in (group / "kijabi-a-1").iterdir()}
    assert written["cpu.max"] == "25000 100000"
    assert (written["memory.max"], written["memory.swap.max"]) == ("4096", "0")
    assert cgroups.oom_kills("kijabi-a-1") == 1


def test_a_command_inside_sees_what_the_payload_sees(sandboxes: Sandboxes):
    spec = sandboxes.spec(env=(("GREETING", "hello"),), working_dir="/usr")
    info = sandboxes.runtime.start(spec)

    script = "echo $GREETING; pwd; id -u; hostname; grep NoNewPrivs /proc/self/status; ls /proc/1"
    result = sandboxes.runtime.exec(info.name, ("sh", "-c", script), 10)

    assert result.output.split()[:6] == ["hello", "/usr", "65534", "web-0", "NoNewPrivs:", "1"]


def test_a_replicas_variables_reach_no_program_outside(sandboxes: Sandboxes, tmp_path: Path):
    # The node's loader would print what it loads, on whatever it is told to load it for.
    info = sandboxes.runtime.start(sandboxes.spec(env=(("LD_DEBUG", "libs"),)))

    result = sandboxes.runtime.exec(info.name, ("/bin/true",), 10)

    assert "python" not in result.output
    assert "calling init" in result.output


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(("sh", "-c", "exit 4"), 4, id="its own"),
        pytest.param(("sh", "-c", "kill -9 $$"), 137, id="by a signal"),
        pytest.param(("no-such-program",), 127, id="not found"),
        pytest.param(("/etc/passwd",), 126, id="no program"),
    ],
)
def test_a_command_inside_ends_as_in_a_shell(
    sandboxes: Sandboxes, command: tuple[str, ...], code: int
):
    info = sandboxes.runtime.start(sandboxes.spec())

    assert sandboxes.runtime.exec(info.name, command, 10).exit_code == code


def test_a_command_that_never_stops_talking_is_bounded(sandboxes: Sandboxes):
    info = sandboxes.runtime.start(sandboxes.spec())

    began = time.monotonic()
    result = sandboxes.runtime.exec(info.name, ("yes",), 0.5)

    assert (result.exit_code, len(result.output)) == (124, 65536)
    assert time.monotonic() - began < 5


def test_a_command_in_an_ended_sandbox_is_refused(sandboxes: Sandboxes):
    info = sandboxes.run("true")

    with pytest.raises(RuntimeFailure) as caught:
        sandboxes.runtime.exec(info.name, ("true",), 10)

    assert caught.value.reason is FailureReason.NOT_FOUND

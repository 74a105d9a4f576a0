"""What the kernel's files say, of either version, and of containers that are gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker import node_usage
from worker.runtimes import usage
from worker.runtimes.usage import Meter, Usage

NET = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs
    lo: 9999 1 0 0 0 0 0 0 9999 1 0 0 0 0 0 0
  eth0: 300 1 0 0 0 0 0 0 70 1 0 0 0 0 0 0
  eth1:5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0
"""
VERSIONS = {
    "v1": {
        "cpuacct.usage": "7000000\n",
        "memory.usage_in_bytes": "1000\n",
        "memory.stat": "cache 5\ninactive_file 1\ntotal_inactive_file 300\ntotal_rss 4\n",
    },
    "v2": {
        "cpu.stat": "usage_usec 7000\nuser_usec 3\n",
        "memory.current": "1000\n",
        "memory.stat": "anon 5\nfile 6\ninactive_file 300\nslab 2\n",
    },
}


def written(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("files", VERSIONS.values(), ids=VERSIONS)
def test_a_meter_reads_both_versions_of_cgroups(tmp_path, files):
    folder = written(tmp_path, {**files, "dev": NET})

    found = Meter(run="a", cpu=folder, memory=folder, network=folder / "dev").read()

    assert found == Usage(
        run="a", cpu_nanoseconds=7_000_000, memory_bytes=700, received_bytes=305, sent_bytes=76
    )


def test_a_container_that_is_gone_has_no_usage(tmp_path):
    assert Meter(run="a", cpu=tmp_path / "no", memory=tmp_path / "no").read() is None


@pytest.mark.parametrize(
    ("lines", "cpu", "memory"),
    [
        pytest.param(
            "4:memory:/docker/x\n2:cpu,cpuacct:/docker/x\n0::/\n",
            "cpuacct/docker/x",
            "memory/docker/x",
            id="v1",
        ),
        pytest.param("0::/system.slice/x\n", "system.slice/x", "system.slice/x", id="v2"),
    ],
)
def test_the_groups_of_a_process_are_found(tmp_path, monkeypatch, lines, cpu, memory):
    monkeypatch.setattr(usage, "PROC", tmp_path / "proc")
    written(tmp_path / "proc/7", {"cgroup": lines})
    written(tmp_path / "cg" / cpu, {"cgroup.procs": ""})

    found = usage.meter_of_process(7, "a", tmp_path / "cg")

    assert (found.cpu, found.memory) == (tmp_path / "cg" / cpu, tmp_path / "cg" / memory)


@pytest.mark.parametrize("lines", ["0::/\n", "2:cpuacct:/\n4:memory:/\n0::/\n", "0::/not/here\n"])
def test_a_process_without_groups_of_its_own_has_no_meter(tmp_path, monkeypatch, lines):
    monkeypatch.setattr(usage, "PROC", tmp_path / "proc")
    written(tmp_path / "proc/7", {"cgroup": lines})
    written(tmp_path / "cg", {"cgroup.procs": ""})

    assert usage.meter_of_process(7, "a", tmp_path / "cg") is None


def test_processes_are_added_up():
    before = usage.of_processes("a", [os.getpid()])
    sum(i * i for i in range(3_000_000))

    after = usage.of_processes("a", [os.getpid(), 2**22 + 1])

    assert after.cpu_nanoseconds > before.cpu_nanoseconds
    assert after.memory_bytes > 10 << 20


def test_a_node_counts_what_is_not_idle(tmp_path):
    written(
        tmp_path,
        {
            "stat": "cpu  10 20 30 4000 500 1 2 3 9 9\ncpu0 1\n",
            "meminfo": "MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 60 kB\n",
        },
    )
    written(tmp_path / "net", {"dev": NET})

    found = node_usage.read(tmp_path)

    ticks = 10 + 20 + 30 + 1 + 2 + 3
    assert found.cpu_nanoseconds == ticks * 10**9 // os.sysconf("SC_CLK_TCK")
    assert (found.memory_bytes, found.received_bytes) == (40 * 1024, 305)

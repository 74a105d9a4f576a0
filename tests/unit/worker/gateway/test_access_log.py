"""Lines of Caddy's access log: each is read once, whatever happens to the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.gateway.access_log import AccessLog, Answered, answered

OWN = '"bytes_read":0,"user_id":"","duration":0.25,"size":2,"status":200,"resp_headers":{}'
HEAD = '{"level":"info","msg":"handled request","request":{"uri":"/"},'


def line(route: str, end: str = "a10-5-0-2.end.kijabi.:80") -> str:
    return f'{HEAD}{OWN},"end":"{end}","route":"{route}"}}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def log(path: Path) -> Iterator[AccessLog]:
    made = AccessLog(path)
    yield made
    made.close()


def routes(log: AccessLog) -> list[str]:
    return [entry.route for entry in log.read()]


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_line_is_read_as_caddy_writes_it():
    assert answered(line("r1").strip().encode()) == Answered(
        route="r1", end="a10-5-0-2.end.kijabi.:80", status=200, seconds=0.25, failed=False
    )


def test_what_the_gateway_answered_itself_is_a_failure():
    text = f'{HEAD}{OWN},"end":"","route":"r1","failed":502}}'

    entry = answered(text.encode())

    assert entry is not None
    assert entry.failed


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("not a line", id="other-words"),
        pytest.param(f"{HEAD}{OWN}}}", id="of-no-route"),
        pytest.param(f'{HEAD}{OWN},"route":"r1"', id="cut-off"),
        pytest.param(f'{HEAD}"bytes_read":0,"route":"r1"}}', id="without-a-status"),
    ],
)
def test_other_lines_say_nothing(text: str):
    assert answered(text.encode()) is None


def test_what_a_client_writes_changes_nothing():
    forged = HEAD.replace("/", '/\\"bytes_read\\":1,\\"route\\":\\"r9\\"}')

    entry = answered(f'{forged}{OWN},"end":"","route":"r1"}}'.encode())

    assert entry is not None
    assert entry.route == "r1"


def test_what_was_there_before_is_not_counted(path: Path):
    path.write_text(line("old"))
    log = AccessLog(path)

    append(path, line("new"))

    assert routes(log) == ["new"]
    log.close()


def test_each_line_is_read_once_and_only_when_it_is_complete(path: Path, log: AccessLog):
    assert routes(log) == []
    text = line("r1") + line("r2")
    append(path, text[:-20])
    assert routes(log) == ["r1"]

    append(path, text[-20:])

    assert routes(log) == ["r2"]
    assert routes(log) == []


def test_a_file_that_is_turned_over_loses_nothing(path: Path, log: AccessLog):
    append(path, line("r1"))
    assert routes(log) == ["r1"]
    append(path, line("r2"))
    path.rename(path.with_name("access-1.log"))
    assert routes(log) == ["r2"]

    append(path, line("r3"))

    assert routes(log) == ["r3"]

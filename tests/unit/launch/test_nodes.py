"""Which node `manage.py node` runs, and where the embedded broker listens for others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.launch import broker, environment, nodes


def identity(home: Path, name: str, server: str) -> Path:
    path = home / "nodes" / name / "identity.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"node": name, "server": server}))
    return path


def test_the_only_node_that_joined_needs_no_name(tmp_path: Path):
    identity(tmp_path, "n1", "")
    identity(tmp_path, "n2", "http://there")

    assert nodes._only_joined(tmp_path) == "n2"


@pytest.mark.parametrize(
    ("names", "sentence"), [([], "with --name$"), (["a", "b"], "with --name; here are a, b")]
)
def test_otherwise_it_asks_which(tmp_path: Path, names: list[str], sentence: str):
    (tmp_path / "nodes").mkdir()
    for name in names:
        identity(tmp_path, name, "http://there")

    with pytest.raises(environment.Unready, match=sentence):
        nodes._only_joined(tmp_path)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_identity_is_named_with_what_to_do(tmp_path: Path, text: str):
    identity(tmp_path, "n2", "").write_text(text)

    with pytest.raises(environment.Unready, match="damaged; remove it and join again"):
        nodes._joined(tmp_path, "n2")


def test_a_machine_without_a_control_plane_is_told_how_to_join(tmp_path: Path, monkeypatch):
    monkeypatch.delenv("REDIS_URL")

    with pytest.raises(environment.Unready, match="node join URL --token"):
        nodes._enrol(tmp_path, "n2")


@pytest.mark.parametrize(
    ("host", "listens"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::", "0.0.0.0 ::"),
        ("10.0.0.1", "127.0.0.1 10.0.0.1"),
    ],
)
def test_the_broker_listens_where_up_was_asked_to_and_here(tmp_path: Path, host: str, listens: str):
    url, _ = broker.prepare(tmp_path, host)

    settings = (tmp_path / "run/broker/redis.conf").read_text().splitlines()
    assert f"bind {listens}" in settings
    assert any(line.startswith("requirepass ") for line in settings)
    assert "@127.0.0.1:" in url

"""The client against a server that answers what it is told to."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.cli.main import main

SAVED = {"kind": "Deployment", "namespace": "default", "name": "web", "generation": 2, "diff": ""}


def deployment(**status) -> dict:
    seen = {"phase": "Progressing", "message": "0 of 2 are available", "revision": 2, **status}
    return {"generation": 2, "observed_generation": 2, "status": seen}


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code


@pytest.fixture
def manifest(tmp_path):
    path = tmp_path / "web.yaml"
    path.write_text("kind: Deployment\n")
    return path


def test_apply_sends_the_file_as_it_is_and_names_what_happened(api, manifest, capsys):
    api.answers = [(200, {"results": [{**SAVED, "action": "configured"}]})]

    status = run("apply", "-f", str(manifest))

    [asked] = api.asked
    assert (status, capsys.readouterr().out) == (0, "deployment.apps/web configured\n")
    assert (asked.method, asked.path, asked.body) == (
        "POST",
        "/api/v1/apply/",
        b"kind: Deployment\n",
    )
    assert asked.headers["Authorization"] == "Bearer secret"


def test_a_dry_run_is_asked_for_and_shows_the_difference(api, manifest, capsys):
    api.answers = [(200, {"results": [{**SAVED, "action": "configured", "diff": "+replicas: 3"}]})]

    run("apply", "-f", str(manifest), "--dry-run")

    assert "dry_run=" in api.asked[0].path
    assert capsys.readouterr().out == "deployment.apps/web configured (dry run)\n+replicas: 3\n"


def test_a_folder_is_sent_as_one_request(api, tmp_path):
    folder = tmp_path / "manifests"
    folder.mkdir()
    for name in ("b.yaml", "a.json", "notes.txt"):
        (folder / name).write_text(f"from: {name}")
    api.answers = [(200, {"results": []})]

    run("apply", "-f", str(folder))

    assert api.asked[0].body == b"from: a.json\n---\nfrom: b.yaml"


def test_every_fault_of_a_manifest_is_one_sentence(api, manifest):
    faults = [
        {"message": "unknown field", "path": "spec.replica", "line": 4, "document": 2},
        {"message": "must not be negative", "path": "spec.replicas"},
    ]
    api.answers = [(422, {"title": "Invalid", "status": 422, "problems": faults})]

    said = run("apply", "-f", str(manifest))

    assert said == (
        "kijabi: document 2, line 4: spec.replica: unknown field\n"
        "spec.replicas: must not be negative"
    )


def test_waiting_ends_well_when_the_rollout_is_complete(api, manifest, capsys):
    done = deployment(phase="Available", message="all 2 replicas are available")
    applied = {"results": [{**SAVED, "action": "created"}]}
    api.answers = [(200, applied), (200, deployment()), (200, deployment()), (200, done)]

    status = run("apply", "-f", str(manifest), "--wait")

    assert status == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "deployment/web: 0 of 2 are available",
        "deployment/web: all 2 replicas are available",
    ]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(deployment(phase="Failed", message="crash loop"), id="it-failed"),
        pytest.param({**deployment(), "generation": 3}, id="it-was-rolled-back-or-changed"),
    ],
)
def test_waiting_ends_badly_when(api, manifest, row):
    api.answers = [(200, {"results": [{**SAVED, "action": "created"}]}), (200, row)]

    assert run("apply", "-f", str(manifest), "--wait") == 1


def test_waiting_does_not_trust_a_status_older_than_the_change(api, manifest):
    stale = deployment(phase="Available") | {"observed_generation": 1}
    api.answers = [(200, {"results": [{**SAVED, "action": "created"}]}), (200, stale)]

    assert run("apply", "-f", str(manifest), "--wait", "--timeout", "0.5") == 1


def test_all_pages_of_a_list_are_read(api, capsys):
    pages = [
        {"count": 2, "next": "more", "results": [{"name": "a"}]},
        {"count": 2, "next": None, "results": [{"name": "b"}]},
    ]
    api.answers = [(200, page) for page in pages]

    run("get", "nodes", "-o", "json")

    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["a", "b"]


def test_nodes_are_listed_with_what_is_reserved_and_how_long_they_have(api, capsys):
    due = (datetime.now(UTC) + timedelta(seconds=4.5)).isoformat()
    seen = datetime.now(UTC).isoformat()
    row = {"name": "n1", "state": "suspect", "cordoned": False, "draining": False, "replicas": 2}
    row |= {"drained_at": None, "doubted": False, "lost_due_at": due, "runtimes": ["docker"]}
    row |= {"cpu_millis": 4000, "cpu_millis_reserved": 1500, "memory_bytes": 8 << 30}
    row |= {"memory_bytes_reserved": 512 << 20, "seen_at": seen, "joined_at": seen}
    doubted = {**row, "name": "n2", "doubted": True}
    api.answers = [(200, {"count": 2, "next": None, "results": [row, doubted]})]

    run("get", "nodes")

    said = capsys.readouterr().out
    assert "suspect (lost in 4s)" in said
    assert "suspect (most fell silent at once)" in said
    assert "1500m/4000m   512Mi/8192Mi" in said


@pytest.mark.parametrize("words", [["deployment/web"], ["deployment", "web"], ["web"]])
def test_scale_takes_a_deployment_in_each_spelling(api, words):
    api.answers = [(200, {})]

    run("scale", *words, "--replicas", "5")

    assert api.asked[0].path == "/api/v1/namespaces/default/deployments/web/scale/"
    assert json.loads(api.asked[0].body) == {"replicas": 5}


def test_a_server_that_is_not_there_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("KIJABI_HOME", str(tmp_path))
    monkeypatch.setenv("KIJABI_SERVER", "http://127.0.0.1:1")

    said = run("get", "nodes")

    assert "http://127.0.0.1:1 cannot be reached" in said
    assert "\n" not in said


def test_a_file_that_is_not_there_is_one_sentence(api, tmp_path):
    said = run("apply", "-f", str(tmp_path / "none.yaml"))

    assert said.startswith("kijabi: ")
    assert "none.yaml: No such file or directory" in said


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (["service/web"], "services/web/"),
        (["svc", "web"], "services/web/"),
        (["ingress.networking.k8s.io/site"], "ingresses/site/"),
        (["secret/cert"], "secrets/cert/"),
    ],
    ids=["kind/name", "short", "with-its-group", "secret"],
)
def test_delete_takes_what_a_manifest_made(api, words, path):
    api.answers = [(204, None)]

    run("delete", *words)

    asked = api.asked[0]
    assert (asked.method, asked.path) == ("DELETE", f"/api/v1/namespaces/default/{path}")


def test_routes_say_below_the_table_who_is_out_and_why(api, capsys):
    route = {
        "namespace": "default",
        "service": "web",
        "generation": 7,
        "unconfirmed": ["n2"],
        "addresses": ["10.97.3.4"],
        "warning": "",
        "endpoints": [
            {"replica": "a1", "standing": "serving", "why": "ready"},
            {"replica": "a2", "standing": "out", "why": "it is not ready"},
        ],
    }
    api.answers = [(200, {"next": None, "results": [route]})]

    run("get", "routes")

    said = capsys.readouterr().out.splitlines()
    assert said[0].split() == ["SERVICE", "IN", "DRAINING", "OUT", "GENERATION", "UNCONFIRMED"]
    assert said[1].split() == ["web", "1", "0", "1", "7", "n2"]
    assert said[2] == "web: a2: it is not ready"

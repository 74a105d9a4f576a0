"""`autoscale`, and how autoscalers are shown and deleted."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.test_commands import SAVED, run

SHARE = {"type": "Utilization", "averageUtilization": 60}


def test_autoscale_makes_a_manifest_as_kubectl_does(api, capsys):
    api.answers = [(201, {})]

    status = run("autoscale", "deployment/web", "--min", "2", "--max", "9", "--cpu-percent", "60")

    [asked] = api.asked
    assert (status, capsys.readouterr().out) == (
        0,
        "horizontalpodautoscaler.autoscaling/web autoscaled\n",
    )
    assert (asked.method, asked.path) == ("POST", "/api/v1/namespaces/default/autoscalers/")
    assert json.loads(asked.body)["spec"] == {
        "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "minReplicas": 2,
        "maxReplicas": 9,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": SHARE}}],
    }


def test_without_a_share_the_default_of_the_manifest_counts(api):
    api.answers = [(201, {})]

    run("autoscale", "web", "--max", "3", "--name", "follow", "-n", "shop")

    sent = json.loads(api.asked[0].body)
    assert (sent["metadata"], "metrics" in sent["spec"]) == (
        {"name": "follow", "namespace": "shop"},
        False,
    )


@pytest.mark.parametrize("target", ["replica/web", "a/b/c"])
def test_only_a_deployment_can_be_autoscaled(api, target):
    assert "name one deployment" in run("autoscale", target, "--max", "3")
    assert not api.asked


@pytest.mark.parametrize("kind", ["hpa", "autoscaler", "autoscalers"])
def test_autoscalers_are_shown_as_kubectl_shows_them(api, capsys, kind):
    row = {
        "namespace": "default",
        "name": "web",
        "target": "web",
        "targets": ["cpu 80 %"],
        "minimum": 1,
        "maximum": 9,
        "replicas": None,
        "created_at": "",
    }
    api.answers = [(200, {"results": [row], "next": None})]

    run("get", kind)

    assert capsys.readouterr().out.splitlines()[1].split() == (
        ["web", "Deployment/web", "cpu", "80", "%", "1", "9", "-", "-"]
    )


def test_an_autoscaler_is_deleted_by_name(api, capsys):
    api.answers = [(204, {})]

    run("delete", "hpa", "web")

    assert (api.asked[0].method, api.asked[0].path) == (
        "DELETE",
        "/api/v1/namespaces/default/autoscalers/web/",
    )
    assert capsys.readouterr().out == "autoscaler/web deleted\n"


def test_who_owns_the_number_is_said_when_a_manifest_is_applied(api, capsys, tmp_path):
    (tmp_path / "web.yaml").write_text("kind: Deployment\n")
    note = 'spec.replicas is 3, but the autoscaler "web" owns the number'
    api.answers = [(200, {"results": [{**SAVED, "action": "unchanged", "note": note}]})]

    run("apply", "-f", str(tmp_path / "web.yaml"))

    assert capsys.readouterr().out == f"deployment.apps/web unchanged\n  note: {note}\n"

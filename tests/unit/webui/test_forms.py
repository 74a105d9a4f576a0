"""The form writes what a person changed, and nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from webui.forms import DeploymentForm, changed, initial_of, merged

CONTAINER: dict[str, Any] = {
    "name": "m",
    "image": "a:1",
    "command": ["sh", "-c", "echo one\nexec sleep 9"],
    "ports": [{"containerPort": 8080}, {"containerPort": 9090}],
    "readinessProbe": {"httpGet": {"port": 9090}},
    "env": [
        {"name": "OPTS", "value": '-Dx="a b"'},
        {"name": "PADDED", "value": "  padded  "},
        {"name": "CERT", "value": "a\nMIDDLE=b\nEND"},
        {"name": "QUOTED", "value": "'all of it'"},
    ],
}


def manifest(**container: Any) -> dict[str, Any]:
    pod = {"containers": [{**copy.deepcopy(CONTAINER), **container}]}
    spec = {"replicas": 2, "template": {"spec": pod}}
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def posted(before: dict[str, Any], **changes: str) -> dict[str, Any]:
    """Return what comes of posting the form as a browser would."""
    fields = {key: str(value).replace("\n", "\r\n") for key, value in initial_of(before).items()}
    fields |= changes
    form = DeploymentForm(fields)
    assert form.is_valid(), form.errors
    return merged(before, form.cleaned_data, changed(before, fields))


@pytest.mark.parametrize(
    "container",
    [{}, {"ports": []}, {"env": []}, {"readinessProbe": {"tcpSocket": {"port": 1}}}],
)
def test_an_untouched_form_changes_nothing(container: dict[str, Any]) -> None:
    before = manifest(**container)
    assert posted(before) == before


def test_another_number_of_replicas_is_all_that_changes() -> None:
    before = manifest()
    after = posted(before, replicas="5")
    before["spec"]["replicas"] = 5
    assert after == before


def test_a_variable_is_added_beside_those_the_form_cannot_show() -> None:
    before = manifest()
    after = posted(before, variables=initial_of(before)["variables"] + "\nMODE=fast")
    variables = after["spec"]["template"]["spec"]["containers"][0]["env"]
    assert sorted(item["name"] for item in variables) == [
        "CERT", "MODE", "OPTS", "PADDED", "QUOTED",
    ]  # fmt: skip
    assert all(item in variables for item in CONTAINER["env"])


def test_another_port_takes_its_probe_along_and_leaves_the_other_ports() -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}}
    container = posted(manifest(readinessProbe=probe), port="81")["spec"]["template"]["spec"]
    [only] = container["containers"]
    assert only["ports"] == [{"containerPort": 81}, {"containerPort": 9090}]
    assert only["readinessProbe"]["httpGet"]["port"] == 81

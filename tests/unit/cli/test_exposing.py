"""`expose` makes the service that a person means."""

from __future__ import annotations

import json

from tests.unit.cli.test_commands import run

PORT = {"containerPort": 8080, "name": "http"}
MADE = {
    "name": "web",
    "status": {
        "addresses": ["10.97.3.4"],
        "ports": [{"port": 80, "protocol": "TCP", "node_port": 30080}],
    },
}


def manifest(*ports):
    """Return a deployment's manifest with every default."""
    spec = {"containers": [{"name": "main", "ports": list(ports)}]}
    return {"spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"spec": spec}}}


def test_it_takes_labels_and_port_from_the_deployment(api, capsys):
    api.answers = [(200, manifest(PORT)), (201, MADE)]

    run("expose", "deployment/web", "--port", "80", "--target-port", "http", "--type", "NodePort")

    made = json.loads(api.asked[1].body)
    assert api.asked[1].path == "/api/v1/namespaces/default/services/"
    assert made["metadata"] == {"name": "web", "namespace": "default"}
    assert made["spec"] == {
        "type": "NodePort",
        "selector": {"app": "web"},
        "ports": [{"port": 80, "targetPort": "http", "protocol": "TCP"}],
        "sessionAffinity": "None",
    }
    assert capsys.readouterr().out == (
        "service/web exposed at 10.97.3.4, port 80/TCP and port 30080 of every node\n"
    )


def test_the_port_is_the_containers_unless_one_is_given(api):
    api.answers = [(200, manifest(PORT)), (201, MADE)]

    run("expose", "web")

    (port,) = json.loads(api.asked[1].body)["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8080, 8080)


def test_without_any_port_it_asks_for_one(api):
    api.answers = [(200, manifest())]

    said = run("expose", "web")

    assert said == "kijabi: deployment/web declares no port; say which with --port"

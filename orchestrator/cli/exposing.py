"""`expose`: a service for the replicas of a deployment."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from orchestrator.cli import kinds
from orchestrator.cli.client import Client, Refused


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what a service may be told."""
    parser.add_argument("target", nargs="+", metavar="deployment/NAME")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("--name", help="of the service; by default the deployment's")
    parser.add_argument("--port", type=int, help="of the service; by default the container's")
    parser.add_argument("--target-port", help="of the container, by number or name")
    parser.add_argument("--protocol", choices=("TCP", "UDP"), default="TCP")
    parser.add_argument("--type", choices=("ClusterIP", "NodePort"), default="ClusterIP")
    parser.add_argument("--session-affinity", choices=("None", "ClientIP"), default="None")


def expose(client: Client, options: argparse.Namespace) -> int:
    """Make a service for the replicas of a deployment."""
    _, name = kinds.reference(options.target)
    path = f"{kinds.path_of('deployments', options.namespace, name)}manifest/"
    manifest = _service(client.call("GET", path), name, options)
    made = client.call(
        "POST", f"namespaces/{options.namespace}/services/", body=json.dumps(manifest).encode()
    )
    ports = ", ".join(_port(port) for port in made["status"]["ports"])
    addresses = ", ".join(made["status"]["addresses"])
    sys.stdout.write(f"service/{made['name']} exposed at {addresses}, {ports}\n")
    return 0


def _port(port: dict[str, Any]) -> str:
    everywhere = f" and port {port['node_port']} of every node" if port["node_port"] else ""
    return f"port {port['port']}/{port['protocol']}{everywhere}"


def _service(deployment: dict[str, Any], name: str, options: argparse.Namespace) -> dict[str, Any]:
    spec = deployment["spec"]
    containers = spec["template"]["spec"]["containers"]
    declared = [port for container in containers for port in container.get("ports") or ()]
    number = options.port or next((port["containerPort"] for port in declared), None)
    if number is None:
        raise Refused(f"deployment/{name} declares no port; say which with --port")
    target = options.target_port or str(number)
    port = {
        "port": number,
        "targetPort": int(target) if target.isdecimal() else target,
        "protocol": options.protocol,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": options.name or name, "namespace": options.namespace},
        "spec": {
            "type": options.type,
            "selector": spec["selector"]["matchLabels"],
            "ports": [port],
            "sessionAffinity": options.session_affinity,
        },
    }

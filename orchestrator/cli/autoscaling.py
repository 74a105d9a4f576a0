"""`autoscale`: let an autoscaler own a deployment's number of replicas, in kubectl's spelling."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from orchestrator.cli.client import Client, Refused


def autoscale(client: Client, options: argparse.Namespace) -> int:
    """Have the number of replicas follow the load."""
    words = "/".join(options.target).split("/")
    if len(words) > 2 or (len(words) == 2 and words[0] not in {"deployment", "deployments"}):
        raise Refused("name one deployment, such as deployment/web")
    name = options.name or words[-1]
    body = json.dumps(_manifest(options, name, words[-1])).encode()
    client.call("POST", f"namespaces/{options.namespace}/autoscalers/", body=body)
    sys.stdout.write(f"horizontalpodautoscaler.autoscaling/{name} autoscaled\n")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what it takes."""
    parser.add_argument("target", nargs="+", metavar="deployment/NAME")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("--min", type=int, default=1, help="never fewer replicas (1)")
    parser.add_argument("--max", type=int, required=True, help="never more replicas")
    parser.add_argument("--cpu-percent", type=int, help="of the requested cpu, on average (80)")
    parser.add_argument("--name", help="of the autoscaler; by default that of the deployment")


def _manifest(options: argparse.Namespace, name: str, target: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "scaleTargetRef": {"kind": "Deployment", "name": target},
        "minReplicas": options.min,
        "maxReplicas": options.max,
    }
    if options.cpu_percent is not None:
        share = {"type": "Utilization", "averageUtilization": options.cpu_percent}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": share}}]
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": options.namespace},
        "spec": spec,
    }

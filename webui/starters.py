"""Manifests to begin with: what is written for a person before they write.

Each is a whole that can be applied as soon as its names are right.
"""

from __future__ import annotations

from typing import Any

from orchestrator.manifests import deployment as manifests
from orchestrator.manifests.kinds import KINDS

Json = dict[str, Any]
FALLBACK_PORT = 8080

NAMESPACE = """apiVersion: v1
kind: Namespace
metadata:
  name: shop
"""
SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  selector: {app: web}
  ports:
  - port: 80
    targetPort: 8080
"""
INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: web
spec:
  rules:
  - host: web.example.com
    http:
      paths:
      - path: /
        pathType: Prefix
        backend: {service: {name: web, port: {number: 80}}}
"""
CERTIFICATE = """apiVersion: v1
kind: Secret
metadata:
  name: web-certificate
type: kubernetes.io/tls
stringData:
  tls.crt: |
    -----BEGIN CERTIFICATE-----
  tls.key: |
    -----BEGIN PRIVATE KEY-----
"""
STARTERS = {"namespace": NAMESPACE, "service": SERVICE, "ingress": INGRESS, "secret": CERTIFICATE}


def service_for(deployment: Json) -> str:
    """Return a service for the replicas of a deployment, given its manifest with every default."""
    spec, metadata = deployment["spec"], deployment["metadata"]
    containers = spec["template"]["spec"]["containers"]
    declared = [port for container in containers for port in container.get("ports") or ()]
    number = declared[0]["containerPort"] if declared else FALLBACK_PORT
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(metadata["name"], metadata["namespace"]),
        "spec": {
            "selector": spec["selector"]["matchLabels"],
            "ports": [{"port": 80, "targetPort": number}],
        },
    }
    return _text(service)


def ingress_for(namespace: str, service: str, port: int) -> str:
    """Return an ingress that leads a host to a service."""
    backend = {"service": {"name": service, "port": {"number": port}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    ingress = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": _metadata(service, namespace),
        "spec": {"rules": [{"host": f"{service}.example.com", "http": {"paths": [path]}}]},
    }
    return _text(ingress)


def _metadata(name: str, namespace: str) -> Json:
    return {"name": name} if namespace == "default" else {"name": name, "namespace": namespace}


def _text(manifest: Json) -> str:
    ordered = manifests.in_order(manifest, KINDS[manifest["kind"]].schema)
    return str(manifests.to_yaml(ordered))

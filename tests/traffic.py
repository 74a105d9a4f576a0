"""Manifests of traffic, and certificates, with everything else at a simple default."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  type: {type}
  selector: {selector}
  ports: {ports}
"""

INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, annotations: {annotations}}}
spec:
  rules:
  - host: {host}
    http:
      paths:
      - {{path: {path}, pathType: Prefix, backend: {{service: {{name: {service}, port: {port}}}}}}}
  tls: {tls}
"""

SECRET = """
apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
type: kubernetes.io/tls
data: {{tls.crt: {chain}, tls.key: {key}}}
"""


def service(**values: object) -> str:
    """Return a service of the deployment `web`."""
    defaults = {
        "name": "web",
        "namespace": "default",
        "type": "ClusterIP",
        "selector": "{app: web}",
        "ports": "[{port: 80, targetPort: 8080}]",
    }
    return SERVICE.format(**defaults | values)


def ingress(**values: object) -> str:
    """Return an ingress to the service `web`."""
    defaults = {
        "name": "site",
        "annotations": "{}",
        "host": "web.example.com",
        "path": "/",
        "service": "web",
        "port": "{number: 80}",
        "tls": "[]",
    }
    return INGRESS.format(**defaults | values)


def secret(chain: str, key: str, name: str = "cert") -> str:
    """Return a secret of a certificate and its key."""
    return SECRET.format(name=name, chain=_encoded(chain), key=_encoded(key))


def certificate(folder: Path, *hosts: str) -> tuple[str, str]:
    """Return a new certificate for these hosts, and its key."""
    names = ",".join(f"DNS:{host}" for host in hosts)
    chain, key = folder / "chain.pem", folder / "key.pem"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=x"
    words = ["openssl", *options.split(), "-addext", f"subjectAltName={names}"]
    subprocess.run(
        [*words, "-keyout", str(key), "-out", str(chain)], check=True, capture_output=True
    )
    return chain.read_text(), key.read_text()


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()

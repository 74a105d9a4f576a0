"""What the buttons of a page send, as lines for a shell."""

from __future__ import annotations

LOGIN = 'T="Authorization: Bearer $(cat $KIJABI_HOME/admin-token)"'
_YAML = '-H "Content-Type: application/yaml" --data-binary @manifest.yaml'
_JSON = '-H "Content-Type: application/json" -d'

# By what a page is about: method, what is sent along, and the address below /api/v1/.
_CALLS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "apply": (("POST", _YAML, "apply/?dry_run=true"), ("POST", _YAML, "apply/")),
    "autoscaler": (
        ("PUT", _YAML, "namespaces/{0}/autoscalers/{1}/"),
        ("POST", _YAML, "namespaces/{0}/autoscalers/{1}/backtest/"),
        ("DELETE", "", "namespaces/{0}/autoscalers/{1}/"),
    ),
    "replica": (
        ("POST", "", "replicas/{0}/retry/"),
        ("DELETE", "", "replicas/{0}/"),
        ("POST", _JSON + ' \'{{"command": ["ls", "/tmp"]}}\'', "replicas/{0}/exec/"),
        ("GET", "", "replicas/{0}/logs/?tail=200"),
    ),
    "service": (
        ("PUT", _YAML, "namespaces/{0}/services/{1}/"),
        ("DELETE", "", "namespaces/{0}/services/{1}/"),
    ),
    "ingress": (
        ("PUT", _YAML, "namespaces/{0}/ingresses/{1}/"),
        ("DELETE", "", "namespaces/{0}/ingresses/{1}/"),
    ),
    "namespaces": (("POST", _YAML, "apply/"), ("DELETE", "", "namespaces/NAME/")),
    "secrets": (("POST", _YAML, "apply/"), ("DELETE", "", "namespaces/default/secrets/NAME/")),
    "rebalance": (
        ("GET", "", "nodes/rebalance/"),
        ("POST", "", "nodes/rebalance/"),
        ("DELETE", "", "nodes/rebalance/"),
    ),
    "join-tokens": (("POST", "", "nodes/join-tokens/"),),
    "tokens": (
        ("POST", _JSON + ' \'{{"name": "ci"}}\'', "tokens/"),
        ("DELETE", "", "tokens/ID/"),
    ),
    "users": (
        ("POST", _JSON + ' \'{{"name": "ana", "role": "viewer"}}\'', "users/"),
        ("PATCH", _JSON + ' \'{{"role": "operator"}}\'', "users/NAME/"),
        ("POST", "", "users/NAME/password/"),
    ),
}


def lines_of(subject: str, root: str, *names: str) -> str:
    """Return the lines of a subject; `root` is the API's address, `names` say what it is about."""
    calls = [
        f'curl -X {method} -H "$T" {body + " " if body else ""}{root}{path}'.format(*names)
        for method, body, path in _CALLS[subject]
    ]
    return "\n".join([LOGIN, *calls])

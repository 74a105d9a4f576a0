"""The kinds of thing people name: their words, and their addresses in the API."""

from __future__ import annotations

from orchestrator.cli.client import Refused

KINDS = (
    "deployments",
    "services",
    "ingresses",
    "secrets",
    "routes",
    "gateways",
    "autoscalers",
    "replicas",
    "nodes",
    "namespaces",
    "jobs",
    "events",
)
SINGULAR = {kind[:-1]: kind for kind in KINDS} | {
    "ingress": "ingresses",
    "deploy": "deployments",
    "svc": "services",
    "ing": "ingresses",
    **dict.fromkeys(("pod", "pods", "po"), "replicas"),
    "ns": "namespaces",
    **dict.fromkeys(("hpa", "horizontalpodautoscaler"), "autoscalers"),
}
OF_NAMESPACE = {
    *("deployments", "services", "ingresses", "secrets", "routes"),
    *("autoscalers", "replicas", "events"),
}
# What is addressed by namespace and name, and made by a manifest.
NAMED = {
    "deployments": "Deployment",
    "services": "Service",
    "ingresses": "Ingress",
    "secrets": "Secret",
    "autoscalers": "HorizontalPodAutoscaler",
}
# What `get KIND NAME -o yaml` shows as a manifest.
WITH_MANIFEST = {"deployments", "services", "ingresses", "autoscalers"}
_ONE_PATH = {
    "replicas": "replicas/{}/",
    "nodes": "nodes/{}/",
    "namespaces": "namespaces/{}/",
}
_GROUPS = {
    "Deployment": "deployment.apps",
    "Ingress": "ingress.networking.k8s.io",
    "HorizontalPodAutoscaler": "horizontalpodautoscaler.autoscaling",
}


def path_of(kind: str, namespace: str, name: str) -> str | None:
    """Return the address of one thing, None when things of this kind have none of their own."""
    if kind in NAMED:
        return f"namespaces/{namespace}/{kind}/{name}/"
    pattern = _ONE_PATH.get(kind)
    return pattern.format(name) if pattern else None


def reference(target: list[str], *, allowed: tuple[str, ...] = ("deployments",)) -> tuple[str, str]:
    """Return kind and name from `deployment/web`, `deployment web` or `web`.

    Raises:
        Refused: it names something else.
    """
    words = "/".join(target).split("/")
    if len(words) == 1 and words[0]:
        return allowed[0], words[0]
    if len(words) != 2:
        raise Refused("name one thing, such as deployment/web")
    kind = SINGULAR.get(words[0].split(".")[0], words[0].split(".")[0])
    if kind not in allowed:
        known = " or ".join(f"{word(one)}/NAME" for one in allowed)
        raise Refused(f"{words[0]} cannot be used here; use {known}")
    return kind, words[1]


def word(kind: str) -> str:
    """Return the word for one thing of a kind."""
    return "ingress" if kind == "ingresses" else kind[:-1]


def label(kind: str, name: str) -> str:
    """Return what was made or changed as kubectl names it: `deployment.apps/web`."""
    return f"{_GROUPS.get(kind, kind.lower())}/{name}"

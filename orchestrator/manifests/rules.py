"""Rules that concern several fields of a Deployment, and defaults that depend on others."""

from __future__ import annotations

from typing import Any

from orchestrator.core.spec import OnFailure
from orchestrator.manifests import quantities
from orchestrator.manifests.problems import Findings, Path, quoted

ON_FAILURE = "kijabi.dev/on-failure"
FENCE = "kijabi.dev/fence"
STRICT = "strict"
DRAIN_SECONDS = "kijabi.dev/drain-seconds"
LONGEST_DRAIN = 3600
OPEN = "kijabi.dev/open"
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_CHECKS = ("httpGet", "tcpSocket", "exec")


def complete(full: dict[str, Any], path: Path, findings: Findings) -> None:
    """Check a completed manifest as a whole and fill in what depends on other fields.

    A rule is left out where a field it looks at is faulty by itself.
    """
    spec, pod = (*path, "spec"), (*path, "spec", "template", "spec")
    if findings.is_clean((*path, "metadata", "annotations")):
        _annotations(full["metadata"].get("annotations") or {}, (*path, "metadata"), findings)
    if findings.is_clean((*spec, "strategy")):
        _strategy(full["spec"]["strategy"], (*spec, "strategy"), findings)
    if findings.is_clean((*spec, "progressDeadlineSeconds"), (*spec, "minReadySeconds")):
        _deadline(full["spec"], spec, findings)
    labels = (*spec, "template", "metadata", "labels")
    if findings.is_clean((*path, "metadata", "name"), (*spec, "selector"), labels):
        _selector(full, spec, findings)
    if findings.can_reach((*pod, "containers")):
        _containers(full["spec"]["template"]["spec"]["containers"], pod, findings)


def complete_namespace(full: dict[str, Any], path: Path, findings: Findings) -> None:
    """Check a completed Namespace as a whole."""
    word = (full["metadata"].get("annotations") or {}).get(OPEN, "false")
    if word not in {"true", "false"}:
        place = (*path, "metadata", "annotations", OPEN)
        findings.add(place, f'{quoted(word)} is unknown; use "true" or "false"')


def _annotations(annotations: dict[str, str], path: Path, findings: Findings) -> None:
    word = annotations.get(ON_FAILURE, OnFailure.ROLLBACK)
    if word not in set(OnFailure):
        known = ", ".join(OnFailure)
        findings.add((*path, "annotations", ON_FAILURE), f"{quoted(word)} is unknown; use {known}")
    fence = annotations.get(FENCE, STRICT)
    if fence != STRICT:
        message = f"{quoted(fence)} is unknown; use {STRICT}, or leave it out"
        findings.add((*path, "annotations", FENCE), message)
    if (seconds := annotations.get(DRAIN_SECONDS)) is not None:
        place = (*path, "annotations", DRAIN_SECONDS)
        check_seconds(seconds, place, findings, most=LONGEST_DRAIN)


def _strategy(strategy: dict[str, Any], path: Path, findings: Findings) -> None:
    if strategy["type"] == "Recreate":
        if "rollingUpdate" in strategy:
            place = (*path, "rollingUpdate")
            findings.add(place, "makes no sense with type Recreate; remove it")
        return
    bounds = strategy.setdefault("rollingUpdate", {})
    bounds.setdefault("maxSurge", "25%")
    bounds.setdefault("maxUnavailable", "25%")
    if all(int(str(bounds[name]).rstrip("%")) == 0 for name in bounds):
        place = (*path, "rollingUpdate", "maxUnavailable")
        findings.add(place, "must not be 0 when maxSurge is 0: no step would be possible")


def _deadline(spec: dict[str, Any], path: Path, findings: Findings) -> None:
    if spec["progressDeadlineSeconds"] <= spec["minReadySeconds"]:
        place = (*path, "progressDeadlineSeconds")
        findings.add(place, "must be greater than minReadySeconds")


def _selector(full: dict[str, Any], path: Path, findings: Findings) -> None:
    spec = full["spec"]
    metadata = spec["template"]["metadata"]
    wanted = (spec.get("selector") or {}).get("matchLabels")
    labels = metadata.get("labels")
    if not labels:
        labels = metadata["labels"] = dict(wanted or {"app": full["metadata"]["name"]})
    if not wanted:
        spec["selector"] = {"matchLabels": dict(labels)}
        return
    for key, value in wanted.items():
        if labels.get(key) != value:
            place = (*path, "selector", "matchLabels", key)
            findings.add(
                place, f"{key}={value} does not match the labels of the template; make them equal"
            )


def _containers(containers: list[dict[str, Any]], path: Path, findings: Findings) -> None:
    if len(containers) > 1:
        place = (*path, "containers", 1)
        findings.add(place, "a second container is not supported yet; a replica has one")
    for index, container in enumerate(containers):
        _container(container, (*path, "containers", index), findings)


def _container(container: dict[str, Any], path: Path, findings: Findings) -> None:
    if findings.is_clean((*path, "image"), (*path, "imagePullPolicy")):
        container.setdefault("imagePullPolicy", _pull_policy(container["image"]))
    if findings.is_clean((*path, "resources")):
        _resources(container["resources"], (*path, "resources"), findings)
    # A misspelt `ports` is one mistake, not one more for every port that a probe names.
    is_known = "ports" in container or findings.is_clean(path)
    if not is_known or not findings.is_clean((*path, "ports")):
        return
    names = _ports(container.get("ports") or [], path, findings)
    for probe in _PROBES:
        if probe in container and findings.is_clean((*path, probe)):
            _probe(container[probe], probe, names, (*path, probe), findings)


def _pull_policy(image: str) -> str:
    """Return Kubernetes' default; a path or `host` (sandbox) is never pulled."""
    if image == "host" or image.startswith("/"):
        return "IfNotPresent"
    tag = image.rsplit("/", 1)[-1].partition("@")
    if tag[1]:
        return "IfNotPresent"
    version = tag[0].partition(":")[2]
    return "Always" if version in {"", "latest"} else "IfNotPresent"


def _ports(ports: list[dict[str, Any]], path: Path, findings: Findings) -> set[str]:
    seen: set[object] = set()
    for index, port in enumerate(ports):
        protocol = port["protocol"]
        keys = [(protocol, port["containerPort"]), port.get("name")]
        if "hostPort" in port:
            keys.append(("host", protocol, port["hostPort"]))
        for key in keys:
            if key is not None and key in seen:
                findings.add((*path, "ports", index), "repeats a port or a port's name; remove it")
            seen.add(key)
    return {port["name"] for port in ports if "name" in port}


def _resources(resources: dict[str, Any], path: Path, findings: Findings) -> None:
    limits = resources.get("limits") or {}
    if not limits:
        return
    requests = resources.setdefault("requests", {})
    for name, limit in limits.items():
        requests.setdefault(name, limit)
        if quantities.parse(requests[name]) > quantities.parse(limit):
            findings.add((*path, "requests", name), "must not be more than the limit")


def _probe(
    probe: dict[str, Any], name: str, port_names: set[str], path: Path, findings: Findings
) -> None:
    checks = [check for check in _CHECKS if check in probe]
    if len(checks) != 1:
        findings.add(path, f"must have exactly one of {', '.join(_CHECKS)}")
        return
    if name != "readinessProbe" and probe["successThreshold"] != 1:
        findings.add((*path, "successThreshold"), f"must be 1 for a {name}")
    port = probe[checks[0]].get("port")
    if isinstance(port, str) and port not in port_names:
        place = (*path, checks[0], "port")
        findings.add(place, f"{quoted(port)} is not the name of one of the container's ports")


def check_seconds(value: str, place: Path, findings: Findings, *, most: int) -> None:
    """Note an annotation that is not a number of seconds in range."""
    if not (value.isascii() and value.isdecimal() and len(value) < 9 and int(value) <= most):
        told = f"{quoted(value)} is not a number of seconds from 0 to {most}"
        findings.add(place, told)

"""What a Deployment's manifest means, how to change it, and how to show it."""

from __future__ import annotations

import copy
import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from orchestrator.core.constraints import Labels
from orchestrator.core.spec import DeploymentSpec, OnFailure, Resources, Strategy, UpdatePolicy
from orchestrator.manifests import quantities
from orchestrator.manifests.fields import Kind, Many, Only, Struct
from orchestrator.manifests.manifest import from_object
from orchestrator.manifests.rules import DRAIN_SECONDS, FENCE, ON_FAILURE
from orchestrator.manifests.schema import DEPLOYMENT, TEMPLATE

Json = dict[str, Any]
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Strings here that other readers of YAML (1.2, or Kubernetes') would take for something else.
_AMBIGUOUS = re.compile(r"0o[0-7]+|[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)([eE][-+]?[0-9]+)?|[yYnN]")
# Lines a YAML block scalar keeps exactly; any other text is written in quotes.
_BLOCK = re.compile(r"[!-~][ -~]*(\n|\n[!-~][ -~]*)+")


class _Dumper(_BaseDumper):  # type: ignore[misc]
    """Writes every value out, never an alias, and a script as a block one can read."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def represent_str(self, text: str) -> yaml.Node:
        style = "'" if _AMBIGUOUS.fullmatch(text) else None
        if _BLOCK.fullmatch(text) and " \n" not in text:
            style = "|"
        node: yaml.Node = self.represent_scalar("tag:yaml.org,2002:str", text, style=style)
        return node


_Dumper.add_representer(str, _Dumper.represent_str)


def with_defaults(written: Json) -> Json:
    """Return a stored manifest with every default filled in."""
    return from_object(written).full


def spec_of(full: Json, *, replicas: int | None = None) -> DeploymentSpec:
    """Return what the planner needs to know of a completed manifest.

    `replicas` is the number in force, where that is not the manifest's.
    """
    spec = {**full["spec"], **({} if replicas is None else {"replicas": replicas})}
    annotations = full["metadata"].get("annotations") or {}
    return DeploymentSpec(
        replicas=spec["replicas"],
        policy=_policy(spec),
        min_ready_seconds=spec["minReadySeconds"],
        progress_deadline_seconds=spec["progressDeadlineSeconds"],
        revision_history_limit=spec["revisionHistoryLimit"],
        paused=spec["paused"],
        on_failure=OnFailure(annotations.get(ON_FAILURE, OnFailure.ROLLBACK)),
        fenced=FENCE in annotations,
        drain_seconds=int(annotations.get(DRAIN_SECONDS, 30)),
    )


def _policy(spec: Json) -> UpdatePolicy:
    strategy = spec["strategy"]
    if strategy["type"] == Strategy.RECREATE:
        return UpdatePolicy(
            strategy=Strategy.RECREATE, max_surge=0, max_unavailable=spec["replicas"]
        )
    bounds = strategy["rollingUpdate"]
    return UpdatePolicy.resolve(
        replicas=spec["replicas"], surge=bounds["maxSurge"], unavailable=bounds["maxUnavailable"]
    )


def template_of(full: Json) -> Json:
    """Return the pod template with its defaults, as revisions keep it."""
    template: Json = copy.deepcopy(full["spec"]["template"])
    return template


def rollout_hash(template: Json) -> str:
    """Return a short digest of what would need new containers if it changed.

    Left out are resources, which are changed in place, and what changes nothing: fields accepted
    without effect, empty lists and empty objects.
    """
    bare = copy.deepcopy(template)
    for container in bare["spec"]["containers"]:
        container.pop("resources", None)
    canonical = json.dumps(_effective(bare, TEMPLATE), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _effective(value: Any, kind: Kind) -> Any:
    if isinstance(kind, Many):
        return [_effective(item, kind.item) for item in value]
    if not isinstance(kind, Struct):
        return value
    kept = {
        key: _effective(value[key], field.kind)
        for key, field in kind.fields.items()
        if key in value and not isinstance(field.kind, Only)
    }
    return {key: item for key, item in kept.items() if item not in ([], {})}


def resources_of(template: Json) -> Resources:
    """Return the limits and requests of one replica."""
    return container_resources(template["spec"]["containers"][0])


def container_resources(container: Mapping[str, Any]) -> Resources:
    """Return the limits and requests of one container."""
    amounts = container.get("resources") or {}
    limits, requests = amounts.get("limits") or {}, amounts.get("requests") or {}
    return Resources(
        cpu_limit_millis=quantities.cpu_millis(limits["cpu"]) if "cpu" in limits else None,
        memory_limit_bytes=(
            quantities.memory_bytes(limits["memory"]) if "memory" in limits else None
        ),
        cpu_request_millis=quantities.cpu_millis(requests["cpu"]) if "cpu" in requests else None,
        memory_request_bytes=(
            quantities.memory_bytes(requests["memory"]) if "memory" in requests else None
        ),
    )


def node_selector_of(template: Json) -> Labels:
    """Return the labels a node must have."""
    return tuple(sorted((template["spec"].get("nodeSelector") or {}).items()))


def port_names_of(template: Json) -> tuple[tuple[str, int], ...]:
    """Return the names that the containers of a replica give to their ports."""
    containers = template["spec"]["containers"]
    ports = [port for container in containers for port in container.get("ports") or ()]
    return tuple((port["name"], port["containerPort"]) for port in ports if port.get("name"))


def labels_of(template: Json) -> Labels:
    """Return the labels of every replica."""
    return tuple(sorted(((template.get("metadata") or {}).get("labels") or {}).items()))


def runtime_class_of(template: Json) -> str:
    """Return the runtime asked for; empty means whatever the node prefers."""
    return template["spec"].get("runtimeClassName") or ""


def image_of(template: Json) -> str:
    """Return the image."""
    return str(template["spec"]["containers"][0]["image"])


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with a JSON merge patch applied (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def with_replicas(written: Json, replicas: int) -> Json:
    """Return the manifest asking for another number of replicas."""
    patched: Json = merge_patch(written, {"spec": {"replicas": replicas}})
    return patched


def declared_replicas(written: Json) -> int | None:
    """Return the number of replicas that is written, None when none is."""
    found: int | None = written["spec"].get("replicas")
    return found


def with_paused(written: Json, *, paused: bool) -> Json:
    """Return the manifest holding its rollouts, or letting them go on."""
    patched: Json = merge_patch(written, {"spec": {"paused": paused}})
    return patched


def with_template(written: Json, template: Json) -> Json:
    """Return the manifest with another pod template (and the selector that fits it)."""
    changed = copy.deepcopy(written)
    changed["spec"]["template"] = copy.deepcopy(template)
    labels = (template.get("metadata") or {}).get("labels") or {}
    selected = (changed["spec"].get("selector") or {}).get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in selected.items()):
        changed["spec"]["selector"] = {"matchLabels": dict(labels)}
    return changed


def with_restart(written: Json, stamp: str) -> Json:
    """Return the manifest with a new restart stamp, as `kubectl rollout restart` sets."""
    patch = {"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: stamp}}}}}
    patched: Json = merge_patch(written, patch)
    return patched


def keeping_restart(before: Json, written: Json) -> Json:
    """Return what is applied with the stamp of the latest restart, which no file knows of.

    Without it, applying the same file after a restart would roll every replica once more.
    """
    stamp = _restart_stamp(before)
    if stamp is None or _restart_stamp(written) is not None:
        return written
    return with_restart(written, stamp)


def _restart_stamp(written: Json) -> str | None:
    template = written.get("spec", {}).get("template", {})
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    stamp: str | None = annotations.get(RESTARTED_AT)
    return stamp


def to_yaml(value: Any) -> str:
    """Return a value as YAML that reads back as the same value."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000))


def in_order(value: Any, kind: Kind = DEPLOYMENT) -> Any:
    """Return a manifest, or a part of that kind, with its keys in the order of the schema.

    PostgreSQL keeps objects in an order of its own, which nobody should get to see.
    """
    if isinstance(kind, Many) and isinstance(value, list):
        return [in_order(item, kind.item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if isinstance(kind, Struct):
        known = {
            key: in_order(value[key], f.kind) for key, f in kind.fields.items() if key in value
        }
        return {**known, **{key: item for key, item in value.items() if key not in known}}
    return dict(sorted(value.items()))


def diff_lines(before: Json | None, after: Json | None, kind: Kind = DEPLOYMENT) -> str:
    """Return the unified diff between two manifests as YAML; empty when they are equal."""
    if before == after:
        return ""
    old = to_yaml(in_order(before, kind)).splitlines() if before else []
    new = to_yaml(in_order(after, kind)).splitlines() if after else []
    return "\n".join(difflib.unified_diff(old, new, "before", "after", lineterm="", n=3))


def diff_of_templates(before: Json, after: Json) -> str:
    """Return the unified diff between two pod templates as YAML."""
    return diff_lines(before, after, TEMPLATE)


def summarise_change(before: Json, after: Json) -> str:
    """Return one line naming what changed: `spec.replicas 3 → 5`; more than four are counted."""
    changes = list(_changes(before, after, ""))
    shown = ", ".join(changes[:4])
    more = f" and {len(changes) - 4} more" if len(changes) > 4 else ""
    return shown + more


def _changes(before: Any, after: Any, path: str) -> list[str]:
    if before == after:
        return []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        keys = [*before, *(key for key in after if key not in before)]
        return [
            change
            for key in keys
            for change in _changes(before.get(key), after.get(key), f"{path}.{key}".strip("."))
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            change
            for index, pair in enumerate(zip(before, after, strict=True))
            for change in _changes(*pair, f"{path}[{index}]")
        ]
    return [f"{path} {_short(before)} → {_short(after)}"]


def _short(value: Any) -> str:
    if value is None:
        return "(unset)"
    text = json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value
    return text if len(text) <= 60 else text[:57] + "…"

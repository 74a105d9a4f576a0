"""What people may change about a node, checked like a manifest: its labels and its taints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.constraints import Taint
from orchestrator.manifests import documents
from orchestrator.manifests.fields import Many, Struct, optional
from orchestrator.manifests.labels import LABELS
from orchestrator.manifests.placing import TAINT, taint_of
from orchestrator.manifests.problems import Findings, ManifestInvalid

_NODE = Struct(
    {
        "labels": optional(LABELS, "labels to set; null takes one away"),
        "taints": optional(Many(TAINT, most=64), "all taints the node shall have"),
    }
)


class NodeChangeInvalid(ManifestInvalid):
    """A change of a node that cannot be accepted; nothing of it is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """Labels to set (None: to take away), and all taints the node shall have (None: as it is)."""

    labels: Mapping[str, str | None]
    taints: tuple[Taint, ...] | None


def read(value: Any) -> NodeChange:
    """Return a change given as plain values.

    Raises:
        NodeChangeInvalid: it lists every fault.
    """
    documents.check(value)
    findings = Findings()
    labels = value.get("labels") if isinstance(value, Mapping) else None
    removed = []
    if isinstance(labels, Mapping):
        removed = [str(key) for key, label in labels.items() if label is None]
        kept = {key: label for key, label in labels.items() if label is not None}
        value = {**value, "labels": kept}
    done = _NODE.complete(value, (), findings)
    taints = None
    if findings.is_clean(("taints",)) and "taints" in done:
        taints = tuple(taint_of(taint) for taint in done["taints"])
        _refuse_twins(taints, findings)
    if findings.problems:
        raise NodeChangeInvalid(tuple(findings.problems))
    return NodeChange(labels={**done.get("labels", {}), **dict.fromkeys(removed)}, taints=taints)


def _refuse_twins(taints: tuple[Taint, ...], findings: Findings) -> None:
    seen = set()
    for index, taint in enumerate(taints):
        if (taint.key, taint.effect) in seen:
            findings.add(("taints", index), "repeats a key with its effect; keep one")
        seen.add((taint.key, taint.effect))

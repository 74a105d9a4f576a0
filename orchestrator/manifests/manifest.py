"""Text or objects to manifests: everything checked, every default filled in, or all faults told."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.manifests import documents, rules
from orchestrator.manifests.fields import Field, Kind, Many, Struct, Table
from orchestrator.manifests.problems import Findings, ManifestInvalid, Problem
from orchestrator.manifests.schema import KINDS

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object somebody wants.

    `written` is what was written, without what servers add; `full` has every default as well.
    """

    kind: str
    namespace: str
    name: str
    written: Json
    full: Json


def parse(text: str | bytes) -> tuple[Manifest, ...]:
    """Read every document of a YAML or JSON text.

    Raises:
        ManifestInvalid: anything is wrong anywhere; it lists every fault of every document.
    """
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for document in documents.load(text):
        findings = Findings(document=document.number, lines=document.lines)
        for path, value in _items(document.value):
            manifest = _read(value, path, findings)
            if manifest is not None:
                manifests.append(manifest)
        problems += findings.problems
    problems += _duplicates(manifests)
    if problems:
        raise ManifestInvalid(tuple(problems))
    if not manifests:
        raise ManifestInvalid((Problem(message="there is no document in the text"),))
    return tuple(manifests)


def from_object(value: object) -> Manifest:
    """Read one manifest given as plain values.

    Raises:
        ManifestInvalid: it lists every fault.
    """
    findings = Findings()
    manifest = _read(value, (), findings)
    if manifest is None:
        raise ManifestInvalid(tuple(findings.problems))
    return manifest


def _items(value: object) -> list[tuple[tuple[str | int, ...], object]]:
    """Return the objects of a document: itself, or the items of a `List`."""
    if isinstance(value, Mapping) and value.get("kind") == "List":
        items = value.get("items")
        if isinstance(items, list):
            return [(("items", index), item) for index, item in enumerate(items)]
    return [((), value)]


def _read(value: object, path: tuple[str | int, ...], findings: Findings) -> Manifest | None:
    before = len(findings.problems)
    if not isinstance(value, Mapping):
        findings.add(path, "a manifest is an object with apiVersion, kind, metadata and spec")
        return None
    kind = value.get("kind")
    schema = KINDS.get(kind) if isinstance(kind, str) else None
    if schema is None:
        known = ", ".join(sorted(KINDS))
        said = f"kind {kind!r} is not supported"[:120] if kind else "kind is missing"
        findings.add((*path, "kind"), f"{said}; supported are {known}")
        return None
    full = schema.complete(value, path, findings)
    if len(findings.problems) == before:
        rules.complete(full, path, findings)
    if len(findings.problems) > before:
        return None
    metadata = full["metadata"]
    return Manifest(
        kind=str(kind),
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        written=_without_server_fields(schema, value),
        full=full,
    )


def _without_server_fields(kind: Kind, value: Any) -> Any:
    if isinstance(kind, Struct):
        kept: dict[str, Field] = {k: f for k, f in kind.fields.items() if not f.ignored}
        return {
            key: _without_server_fields(kept[key].kind, item)
            for key, item in value.items()
            if key in kept and item is not None
        }
    if isinstance(kind, Table):
        return {key: item for key, item in value.items() if key not in kind.dropped}
    if isinstance(kind, Many):
        return [_without_server_fields(kind.item, item) for item in value]
    return copy.deepcopy(value)


def _duplicates(manifests: list[Manifest]) -> list[Problem]:
    seen: set[tuple[str, str, str]] = set()
    problems = []
    for manifest in manifests:
        key = (manifest.kind, manifest.namespace, manifest.name)
        if key in seen:
            name = f"{manifest.namespace}/{manifest.name}".strip("/")
            message = f"{manifest.kind} {name} is given twice in this text; keep one"
            problems.append(Problem(message=message, path="metadata.name"))
        seen.add(key)
    return problems

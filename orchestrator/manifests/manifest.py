"""Text or objects to manifests: everything checked, every default filled in, or all faults told."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.manifests import documents
from orchestrator.manifests.fields import Field, Kind, Many, Struct, Table
from orchestrator.manifests.kinds import KINDS
from orchestrator.manifests.problems import (
    Findings,
    ManifestInvalid,
    Path,
    Problem,
    name_type,
    shown,
)

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

    @property
    def api_version(self) -> str:
        """Return the version of the API that the kind belongs to."""
        return str(self.full["apiVersion"])


def parse(text: str | bytes) -> tuple[Manifest, ...]:
    """Read every document of a YAML or JSON text.

    Raises:
        ManifestInvalid: anything is wrong anywhere; it lists every fault of every document.
    """
    problems: list[Problem] = []
    manifests: dict[tuple[str, str, str], Manifest] = {}
    for document in documents.read(text, problems):
        for path, value in _items(document):
            manifest = _read(value, path, document.findings)
            if manifest is not None:
                _refuse_second(manifest, manifests, path, document.findings)
    if problems:
        raise ManifestInvalid(tuple(problems))
    if not manifests:
        raise ManifestInvalid((Problem(message="there is no document in the text"),))
    return tuple(manifests.values())


def from_object(value: object) -> Manifest:
    """Read one manifest given as plain values.

    Raises:
        ManifestInvalid: it lists every fault.
    """
    documents.check(value)
    findings = Findings()
    manifest = _read(value, (), findings)
    if manifest is None:
        raise ManifestInvalid(tuple(findings.problems))
    return manifest


def _items(document: documents.Document) -> list[tuple[Path, object]]:
    """Return the objects of a document: itself, or the items of a `List`."""
    value = document.value
    if not isinstance(value, Mapping) or value.get("kind") != "List":
        return [((), value)]
    items = value.get("items")
    if isinstance(items, list):
        return [(("items", index), item) for index, item in enumerate(items)]
    document.findings.add(("items",), f"must be a list of manifests, not {name_type(items)}")
    return []


def _read(value: object, path: Path, findings: Findings) -> Manifest | None:
    before = len(findings.problems)
    if not isinstance(value, Mapping):
        findings.add(path, "a manifest is an object with apiVersion, kind, metadata and spec")
        return None
    kind = value.get("kind")
    found = KINDS.get(kind) if isinstance(kind, str) else None
    if found is None:
        known = ", ".join(sorted(KINDS))
        said = f"kind {shown(kind)} is not supported" if kind else "kind is missing"
        findings.add((*path, "kind"), f"{said}; supported are {known}")
        return None
    full = found.schema.complete(value, path, findings)
    if found.complete and (not found.only_clean or len(findings.problems) == before):
        found.complete(full, path, findings)
    if len(findings.problems) > before:
        return None
    metadata = full["metadata"]
    return Manifest(
        kind=str(kind),
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        written=_without_server_fields(found.schema, value),
        full=full,
    )


def _refuse_second(
    manifest: Manifest,
    seen: dict[tuple[str, str, str], Manifest],
    path: Path,
    findings: Findings,
) -> None:
    """Keep the manifest, or note that the text holds one of that kind and name already."""
    key = (manifest.kind, manifest.namespace, manifest.name)
    if seen.setdefault(key, manifest) is not manifest:
        name = f"{manifest.namespace}/{manifest.name}".strip("/")
        told = f"{manifest.kind} {name} is given twice in this text; keep one"
        findings.add((*path, "metadata", "name"), told)


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

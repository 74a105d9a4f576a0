"""The manifest reference of the README, written from the table that validates."""

from __future__ import annotations

import json
from collections.abc import Iterator

from orchestrator.manifests.fields import ABSENT, Kind, Many, Only, Struct
from orchestrator.manifests.schema import DEPLOYMENT

# Places whose fields are those of another: every other probe, and wishes as duties.
_AS_ANOTHER = (
    *("startupProbe", "livenessProbe", "podAntiAffinity", "preferredDuring"),
    *("pods.target", "scaleDown"),
)


def reference_markdown(schema: Struct = DEPLOYMENT) -> str:
    """Return the reference of one kind of manifest: every field with type, default, meaning."""
    lines = ["| Field | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{path}` | {label} | {default} | {doc} |"
        for path, label, default, doc in _rows(schema, "")
    ]
    silent = ", ".join(f"`{pair}`" for pair in dict.fromkeys(_silent_pairs(schema)))
    if silent:
        lines += ["", f"Accepted without effect, with exactly these values: {silent}."]
    return "\n".join(lines) + "\n"


def _silent_pairs(kind: Kind) -> Iterator[str]:
    if isinstance(kind, Many):
        yield from _silent_pairs(kind.item)
    if isinstance(kind, Struct):
        for name, field in kind.fields.items():
            if isinstance(field.kind, Only):
                yield from (f"{name}: {json.dumps(value)}" for value in field.kind.values)
            yield from _silent_pairs(field.kind)


def _rows(kind: Kind, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    if isinstance(kind, Many) and isinstance(kind.item, Struct):
        yield from _rows(kind.item, f"{prefix}[]")
        return
    if not isinstance(kind, Struct):
        return
    for name, field in kind.fields.items():
        path = f"{prefix}.{name}" if prefix else name
        if field.ignored or isinstance(field.kind, Only):
            continue
        nested = isinstance(field.kind, Struct)
        if not any(known in prefix for known in _AS_ANOTHER):
            default = "required" if field.required else _shown(field.default)
            if not nested or field.doc:
                yield path, field.kind.label, default, field.doc
            yield from _rows(field.kind, path)


def _shown(default: object) -> str:
    if default is ABSENT or default == {} or isinstance(default, list):
        return "–"
    return f"`{default if default and isinstance(default, str) else json.dumps(default)}`"
